"""`convscope models`: a list of the networks."""

import json

from convscope.console.output import Json


def models(
    as_json: Json = False,
) -> None:
    """List the networks with their numbers of parameters.

    The numbers are for 1,000 classes and the network's own input size.
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from convscope.nets.catalog import NETWORKS, build_module, num_parameters

    rows = []
    with torch.device("meta"):  # parameters are counted without being allocated
        for name, entry in NETWORKS.items():
            module = build_module(name, num_classes=1000, input_shape=entry.input_shape)
            rows.append(
                {
                    "name": name,
                    "parameters": num_parameters(module),
                    "input_shape": list(entry.input_shape),
                    "summary": entry.summary,
                }
            )
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("model")
    table.add_column("parameters", justify="right")
    table.add_column("input", justify="right")
    table.add_column("")
    for row in rows:
        shape = " x ".join(map(str, row["input_shape"]))
        table.add_row(row["name"], f"{row['parameters']:,}", shape, row["summary"])
    console = Console()
    console.print(table)
    console.print("\nYour own network: --model package.module:function")
