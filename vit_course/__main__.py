"""The commands of `python -m vit_course`: doctor, train, predict, bench; for maintainers and teachers notebooks."""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status. Bad input ends in one line on stderr, not in a traceback."""
    parser = argparse.ArgumentParser(prog="python -m vit_course", description="The course's commands.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="one table: versions, device, memory, data, and each problem's remedy")
    train = commands.add_parser("train", help="run a recipe; without a name, list them")
    train.add_argument("recipe", nargs="?", metavar="RECIPE", help="such as vit-10min; all are listed if none")
    train.add_argument("--record", action="store_true", help="write data/recorded/RECIPE.json after each seed")
    train.add_argument("--ship", action="store_true", help="--record, and put seed 0's weights beside the record")
    train.add_argument("--resume", action="store_true", help="go on where a run of it was stopped")
    train.add_argument("--seeds", type=int, help="how many runs, with seeds 0, 1, …; else as the recipe says")
    train.add_argument("--minutes", type=float, help="as many epochs as this machine trains in that time")
    predict = commands.add_parser("predict", help="classify image files, and show where in them the net looks")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="one or more image files")
    predict.add_argument("--weights", default="vgg-10min", help="a recipe, file, folder or hub id; else %(default)s")
    predict.add_argument("--picture", type=Path, default=Path("predicted.png"), help="the overlay; else %(default)s")
    bench = commands.add_parser("bench", help="our nets and batches beside other libraries', in one run")
    bench.add_argument("--quick", action="store_true", help="smaller batches and fewer rounds, at most 90 s")
    bench.add_argument("--device", help="cpu, cuda or mps; else the fastest here")
    bench.add_argument("--compile", action="store_true", help="also our ViT through torch.compile, reported apart")
    bench.add_argument("--out", type=Path, default=Path("bench"), help="where to write, without .json and .png")
    notebooks = commands.add_parser("notebooks", help="for maintainers and teachers")
    tasks = notebooks.add_subparsers(dest="task", required=True, metavar="TASK")
    for task, text in (("outputs", "run notebooks and store their outputs"), ("lint", "hold notebooks to the rules")):
        tasks.add_parser(task, help=text).add_argument("names", nargs="*", help="such as 00 or 01_images; all if none")
    tasks.add_parser("address", help="stamp the repository's address").add_argument("repo", help="owner/name")
    handout = tasks.add_parser("handout", help="copies without solutions and outputs, for a class")
    handout.add_argument("folder", type=Path, help="where to write them")
    handout.add_argument("names", nargs="*", help="such as 00 or 01_images; all if none")
    grade = tasks.add_parser("grade", help="run returned notebooks and print a table of marks")
    grade.add_argument("folders", type=Path, nargs="+", help="one a learner, such as returned/*")
    grade.add_argument("--csv", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    # Each command imports only what it needs: `doctor` must run where Jupyter is missing.
    if options.command == "doctor":
        from vit_course.doctor import doctor

        return min(doctor(), 1)
    if options.command == "train":
        from vit_course.recipes.command import command

        return command(options)
    if options.command == "predict":
        from vit_course.predict import command

        return command(options)
    if options.command == "bench":
        from vit_course.bench.command import command

        return command(options)
    if options.task == "outputs":
        from vit_course.authoring.execute import execute

        return execute(options.names)
    if options.task == "lint":
        from vit_course.authoring.lint import lint

        return lint(options.names)
    if options.task == "address":
        from vit_course.authoring.address import stamp

        print("\n".join(str(path) for path in stamp(options.repo)) or f"The address is {options.repo} already.")
        return 0
    if options.task == "handout":
        from vit_course.authoring.handout import handout

        return handout(options.folder, options.names)
    from vit_course.authoring.grade import grade

    return grade(options.folders, options.csv)


if __name__ == "__main__":
    sys.exit(main())
