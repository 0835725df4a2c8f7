"""`edgepose models`: what there is, what is known of it, and whether it is what it says."""

from __future__ import annotations

import argparse

HELP = "List the models, show one, check that they are what they say, or make a stock .tflite file one of them."
EXAMPLES = """  edgepose models                                  the list
  edgepose models show movenet_lightning_192       all that is known of one
  edgepose models verify                           hash, structure, and one run of each
  edgepose models inspect some.tflite              what it is, what is in it, what an import would write
  edgepose models import some.tflite               cut it at its heads; then `edgepose run --model some`
  edgepose models convert some.onnx                to some.tflite, checked against onnxruntime
  edgepose models quantize some.tflite --pictures photos/          float to int8, and what it lost
  edgepose models checkup int8.tflite float.tflite --pictures photos/   what another's int8 lost, and why"""

ACTIONS = ("list", "show", "verify", "inspect", "import", "quantize", "checkup", "convert")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list")
    parser.add_argument("names", nargs="*", metavar="NAME", help="names or files; default: all")
    parser.add_argument("--models_dir", default="", metavar="DIR", help="a folder searched before the shipped models")
    parser.add_argument("--name", default="", help="import, quantize: name of the new model; default: that of the file")
    parser.add_argument("--to", default="", metavar="DIR", help="import, quantize: where to; default: your own models")
    parser.add_argument("--out", default="", metavar="FILE", help="convert: the new file; default: FILE.tflite")
    parser.add_argument(
        "--shape", default="", metavar="N,C,H,W", help="convert: an input's size that the file leaves open"
    )
    parser.add_argument("--pictures", default="", metavar="DIR", help="photographs of people, to measure on")


def run(args: argparse.Namespace) -> int:
    """Do one of ACTIONS."""
    from edgepose.lab.models import imported, show

    if args.action == "inspect":
        return imported.inspect(args.names)
    if args.action == "import":
        return imported.import_(args.names, args.name, args.to, args.pictures)
    if args.action == "convert":
        from edgepose.lab.models import converted

        return converted.convert_all(args.names, args.out, args.shape, args.pictures)
    if args.action in ("quantize", "checkup"):
        from edgepose.lab.models import checkup

        if args.action == "checkup":
            return checkup.checkup(args.names, args.pictures)
        return checkup.quantize(args.names, args.name, args.to, args.pictures)
    paths = show.chosen(args.names, args.models_dir)
    if args.action == "show":
        return show.show(paths if args.names else [])
    return show.verify(paths) if args.action == "verify" else show.list_all(paths)
