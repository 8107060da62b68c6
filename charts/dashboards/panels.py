"""The few kinds of panel that the dashboards are made of, each with its title, description and unit.

All queries go to the data source that the dashboard's variable names: a fixed one exists in one Grafana only.
"""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH, HEIGHT = 8, 8


@dataclass(frozen=True)
class About:
    """What every panel says about itself."""

    title: str
    description: str
    unit: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Query:
    """PromQL, and what its lines are called."""

    expression: str
    legend: str = ""

    def target(self) -> prometheus.Dataquery:
        """The query over the time that the dashboard shows."""
        return prometheus.Dataquery().datasource(DATASOURCE).expr(self.expression).legend_format(self.legend)

    def now(self) -> prometheus.Dataquery:
        """The query at the end of the time that the dashboard shows."""
        return self.target().instant().format(PromQueryFormat.TABLE)


def lines(about: About, *queries: Query, stacked: bool = False) -> timeseries.Panel:
    """Values over time."""
    panel = (
        timeseries.Panel()
        .title(about.title)
        .description(about.description)
        .unit(about.unit)
        .datasource(DATASOURCE)
        .span(about.width)
        .height(about.height)
        .draw_style(GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(25 if stacked else 5)
        .show_points(VisibilityMode.AUTO)
        .stacking(
            common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE).group("A")
        )
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for query in queries:
        panel.with_target(query.target())
    return panel


def numbers(about: About, *queries: Query) -> stat.Panel:
    """The present values, large."""
    panel = (
        stat.Panel()
        .title(about.title)
        .description(about.description)
        .unit(about.unit)
        .datasource(DATASOURCE)
        .span(about.width)
        .height(about.height)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for query in queries:
        panel.with_target(query.target())
    return panel


def rows(about: About, columns: dict[str, str], *queries: Query) -> table.Panel:
    """One row for each set of labels, the queries' values beside each other; `columns` renames them."""
    organize = {
        "excludeByName": {"Time": True, "Value #A": True},
        "renameByName": columns,
        "indexByName": {name: place for place, name in enumerate(columns)},
    }
    panel = (
        table.Panel()
        .title(about.title)
        .description(about.description)
        .unit(about.unit)
        .datasource(DATASOURCE)
        .span(about.width)
        .height(about.height)
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(DataTransformerConfig(id_val="organize", options=organize))
    )
    for query in queries:
        panel.with_target(query.now())
    return panel


def datasource_variable() -> grafana.DatasourceVariable:
    """Which Prometheus is asked: the reader's choice, Grafana's default first."""
    return grafana.DatasourceVariable("datasource").type("prometheus").label("Data source")


def label_variable(name: str, label: str, query: str) -> grafana.QueryVariable:
    """Values of a label, several at once, all at first."""
    return (
        grafana.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
