"""report.html: one file without a network that shows what came out, how, and from what. Called once, by `result`."""

from __future__ import annotations

from distill_trainer.report.html import render
from distill_trainer.report.page import Page

__all__ = ["Page", "render"]
