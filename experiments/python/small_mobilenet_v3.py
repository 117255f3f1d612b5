"""The largest network of our space `small_mobilenet_v3` (ofa-model/src/space/presets.rs), in plain PyTorch."""

from torch import nn


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm and an optional activation."""

    def __init__(self, inputs, outputs, kernel, *activation, stride=1, groups=1):
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), *activation)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the means of all channels."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x):
        return x * self.gate(x)


class MbConv(nn.Module):
    """Inverted bottleneck: expand, depthwise convolution, gate, project; residual connection where shapes allow."""

    def __init__(self, inputs, outputs, activation, kernel=7, ratio=6, stride=1, squeezed=None):
        super().__init__()
        middle = inputs * ratio
        layers = [ConvNorm(inputs, middle, 1, activation)] if ratio > 1 else []
        layers += [ConvNorm(middle, middle, kernel, activation, stride=stride, groups=middle)]
        layers += [SqueezeExcite(middle, squeezed)] if squeezed else []
        self.layers = nn.Sequential(*layers, ConvNorm(middle, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


def small_mobilenet_v3():
    """For grayscale images of 28 px and 10 classes."""
    # In place only where it saves memory: Hardswish needs its input for the backward pass.
    relu, swish = nn.ReLU(inplace=True), nn.Hardswish()
    stem = [ConvNorm(1, 8, 3, swish), MbConv(8, 8, relu, kernel=3, ratio=1)]
    first = [MbConv(8, 8, relu, stride=2), *(MbConv(8, 8, relu) for _ in range(3))]
    second = [MbConv(8, 16, swish, stride=2, squeezed=16), *(MbConv(16, 16, swish, squeezed=24) for _ in range(3))]
    third = [MbConv(16, 32, swish, squeezed=24), *(MbConv(32, 32, swish, squeezed=48) for _ in range(3))]
    features = [ConvNorm(32, 128, 1, swish), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 192, bias=False), swish]
    return nn.Sequential(*stem, *first, *second, *third, *features, nn.Linear(192, 10))
