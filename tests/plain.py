"""What the explorer's page must show: the test network in plain torch, and numbers as text."""

from itertools import pairwise

import torch
import torch.nn.functional as F


def outputs(module, images, off=()):
    """Every layer's output for one image, without the batch axis; `off`: channels of `stem.0`."""
    out = {"input": images}
    with torch.no_grad():
        names = ["input", "stem.0", "stem.1", "stem.2", "stem.3"]
        for (before, name), layer in zip(pairwise(names), module.stem, strict=True):
            out[name] = layer(out[before])
            if name == "stem.0":
                out[name][:, list(off)] = 0
        out["block"] = module.block(out["stem.3"])
        out["add"] = out["block"] + out["stem.3"]
        out["relu"] = F.relu(out["add"])
        out["strided"] = module.strided(out["relu"])
        out["sigmoid"] = torch.sigmoid(out["strided"])
        out["adaptive_max_pool"] = F.adaptive_max_pool2d(out["sigmoid"], 3)
        out["narrow"] = module.narrow(out["relu"])
        out["average_pool"] = F.avg_pool2d(out["narrow"], 3, 2)
        out["concatenate"] = torch.cat([out["adaptive_max_pool"], out["average_pool"]], 1)
        out["pool"] = module.pool(out["concatenate"])
        out["flatten"] = out["pool"].flatten(1)
        out["fc1"] = module.fc1(out["flatten"])
        out["relu#2"] = out["dropout"] = F.relu(out["fc1"])
        out["fc2"] = module.fc2(out["dropout"])
        out["softmax"] = out["fc2"].softmax(1)
    return {name: values[0] for name, values in out.items()}


def written(value, digits=6):
    """A number as `model/numbers.ts` writes it."""
    rounded = float(f"{float(value):.{digits}g}")
    if rounded and abs(rounded) < 1e-4:
        mantissa, power = f"{float(value):.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    else:
        text = f"{rounded:.12f}".rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")


def percent(share):
    """A probability as `model/numbers.ts` writes it."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 < share < 1 else f"{100 * share:.1f} %"
