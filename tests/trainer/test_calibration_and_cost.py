"""Calibration and operations."""

import numpy as np
import pytest
import torch
from torch import nn

from distill_trainer.calibration import expected_calibration_error
from distill_trainer.cost import forward_flops


def test_calibration_error_by_hand():
    # Two bins of 15: at 0.95 three of four are right (gap 0.20), at 0.55 one of one is (gap 0.45).
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55], dtype=np.float32)
    right = np.array([True, True, True, False, True])
    assert expected_calibration_error(confidence, right) == pytest.approx((4 * 0.20 + 0.45) / 5, abs=1e-6)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    sure = np.ones(10, dtype=np.float32)
    assert expected_calibration_error(sure, np.ones(10, dtype=bool)) == 0
    assert expected_calibration_error(sure, np.zeros(10, dtype=bool)) == 1


def test_operations_of_layers_by_their_formulas():
    assert forward_flops(nn.Linear(7, 5), torch.rand(1, 7)) == 2 * 7 * 5
    convolution = nn.Conv2d(3, 4, 5, padding=2)
    assert forward_flops(convolution, torch.rand(1, 3, 8, 8)) == 2 * 3 * 25 * 4 * 64


def test_operations_of_a_layer_that_is_handed_a_parameter():
    class Handed(nn.Module):
        def forward(self, pair):
            return pair[0] @ pair[1].T

    class Hands(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.inner = nn.Linear(4, 3, bias=False), Handed()

        def forward(self, rows):
            return self.inner((rows, self.table.weight[:2]))

    model = Hands()
    assert forward_flops(model, torch.zeros(5, 4)) == 2 * 5 * 4 * 2
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_result_has_both(workspace):
    result = workspace.train(training={"epochs": 1}).outcome.result
    assert result.student.flops < result.teacher.flops
    assert 0 <= result.student.calibration_error <= 1
