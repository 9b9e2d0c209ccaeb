"""The words of the command line: the panel and the metavar of every option, the same in all commands.

A test compares this table with the options of all commands, so an option is added here, too.
"""

from collections.abc import Mapping

# name -> (module, one line of help). The modules import PyTorch. With this table, ``infgen --help`` stays fast.
COMMANDS = {
    "render": ("infgen.cli.render", "Render any window of an endless image to a file."),
    "styles": ("infgen.cli.styles", "Render a sheet of styles to choose from."),
    "map": ("infgen.cli.map", "Write the styles of a world as a painted map, to paint on."),
    "planet": ("infgen.cli.planet", "Render a whole planet as a map, whose edges meet."),
    "video": ("infgen.cli.video", "Move a camera over a world, and write a video."),
    "outpaint": ("infgen.cli.outpaint", "Continue a photograph on any side."),
    "inbetween": ("infgen.cli.inbetween", "Join photographs in a row and generate the gaps."),
    "panorama": ("infgen.cli.panorama", "Make a seamless 360 degree image around a photograph."),
    "resample": ("infgen.cli.resample", "Render a region of a world again, or undo that."),
    "verify": ("infgen.cli.verify", "Compare a rendered picture with its provenance."),
    "info": ("infgen.cli.info", "Show what a file made by infgen contains."),
    "data": ("infgen.cli.data", "Check photographs before training, and pack them into shards."),
    "train": ("infgen.cli.train", "Train a model on photographs."),
    "eval": ("infgen.cli.eval", "Measure the quality of a model's pictures."),
    "bench": ("infgen.cli.bench", "Measure how fast this machine renders."),
    "serve": ("infgen.cli.serve", "Explore and paint endless pictures in a browser."),
    "schema": ("infgen.cli.schema", "Print the JSON schema of layout or world files."),
    "export": ("infgen.cli.export", "Export a model for other runtimes."),
    "convert": ("infgen.cli.convert", "Convert a released InfinityGAN checkpoint."),
    "env": ("infgen.cli.env", "Print versions, devices and extras, for bug reports."),
    "completion": ("infgen.cli.completion", "Print the completion script of a shell."),
}
# Panel of ``infgen --help`` -> its commands.
COMMAND_PANELS = {
    "Pictures": ("render", "styles", "map", "planet", "video", "resample", "serve"),
    "Photographs": ("outpaint", "inbetween", "panorama"),
    "Models": ("data", "train", "eval", "export", "convert"),
    "Files and machines": ("info", "verify", "bench", "schema", "env", "completion"),
}

COMPLETE_VARIABLE = "_INFGEN_COMPLETE"  # set by completion scripts: the shell whose words to complete

WINDOW, WORLD, PHOTOGRAPH, INVERSION = "Window", "World", "Photograph", "Inversion"
CAMERA, DATA, METRICS, TRAINING, SERVER = "Camera", "Data", "Metrics", "Training", "Server"
OUTPUT, COMPUTATION, MESSAGES, OPTIONS = "Output", "Model and computation", "Messages", "Options"

# Panel -> option -> metavar. None: click's own, such as a list of choices. An entry such as "train --steps" applies to
# one command, and has priority.
PANELS: Mapping[str, Mapping[str, str | None]] = {
    WINDOW: {
        **dict.fromkeys(("--w", "--h", "--x", "--y", "--side", "--gap", "--columns"), "PX"),
        **dict.fromkeys(("--left", "--top", "--right", "--bottom"), "PX"),
        "--columns": "N",
        "--scale": None,
        "--samples": "N",
        "--output-size": None,
    },
    WORLD: {
        **dict.fromkeys(("--seed", "--style-seed", "--mix-seed"), "SEED"),
        **dict.fromkeys(("--seeds", "--style-seeds", "--world-seeds"), "SEEDS"),
        "--world": "FILE",
        "--styles": "FILE",
        "--snap": None,
        "--crossover": "ROW",
        **dict.fromkeys(("--truncation", "--local-truncation", "--noise"), "FACTOR"),
        "--period": "PX",
        "--like": "FILE",
        "--like-region": "X,Y,W,H",
        "--region": "X,Y,W,H",
        "--fields": "NAMES",
        "--undo": None,
        "--style-counts": "N,...",
        "--max-styles": "N",
    },
    CAMERA: {
        **dict.fromkeys(("--from", "--via", "--to"), "X,Y"),
        "--zoom": "FACTOR",
        "--seconds": "SECONDS",
        "--fps": "N",
    },
    PHOTOGRAPH: {
        "--mask": "FILE",
        "--keep-original": None,
        "--feather": "PX",
        "--strip": None,
        "--working-height": "PX",
        "--horizon": "FRACTION",
    },
    INVERSION: {
        "--settings": None,
        "--candidates": "N",
        "--inversion-steps": "STEPS",
        "--inversion-seconds": "SECONDS",
        "--latents": "FILE",
    },
    DATA: {
        "--size": "PX",
        "--stride": "PX",
        "--rows": "TOP BOTTOM",
        "--wrap": None,
        "--balance": "SHARE",
        "--quality": "N",
        "--shard-mb": "MIB",
        "--sheet": "FILE",
        "data --preset": None,
    },
    METRICS: {
        "--images": "FOLDER",
        **dict.fromkeys(("eval --seed", "verify --seed"), "SEED"),
        "--protocol": None,
        "--metrics": "NAMES",
        "--scales": "N,...",
        "--compare": "MODEL",
        "--floor": None,
        "--fused": "N,...",
        "--n": "N",
        "--vgg-weights": "FILE",
        "--inception-weights": "FILE",
        "--repeats": "N",
        "--write": "FORMATS",
        "--no-memory": None,
        "--precisions": "NAMES",
        "--tiles": "N",
    },
    TRAINING: {
        "--config": "FILE",
        "train --seed": "SEED",
        "--preset": None,
        "--ablation": None,
        "--init": "MODEL",
        "--steps": "STEPS",
        "--hours": "HOURS",
        "--coordinates": None,
        "--width-multiplier": "FACTOR",
        "train --batch": "N",
        "--micro-batch": "N",
        **dict.fromkeys(("--generator-rate", "--discriminator-rate"), "RATE"),
        **dict.fromkeys(("--decay-steps", "--warmup-steps"), "STEPS"),
        **dict.fromkeys(("--view", "--pre-resize"), "PX"),
        "--scale-shares": "N,...",
        **dict.fromkeys(("--fusion", "--mixing", "--beyond"), "SHARE"),
        "--discriminator": None,
        "--augment": None,
        "--colour-jitter": "FACTOR",
        **dict.fromkeys(("--checkpoint-every", "--sample-every", "--judge-every"), "STEPS"),
        "--metric": None,
        "--judge-n": "N",
        "train --vgg-weights": "FILE",
        "train --inception-weights": "FILE",
        "--tensorboard": None,
        "--tracker": None,
        "train --resume": None,
    },
    SERVER: {
        "--host": "ADDRESS",
        "--port": "PORT",
        "--data": "FOLDER",
        "--token": "TEXT",
        "--allow-host": "NAME",
        "--root-path": "PATH",
        "--trust-proxy": "NETWORK",
        "--log-format": None,
        "--access-log": None,
        "--open": None,
    },
    OUTPUT: {
        "--output": "FILE",
        "train --output": "FOLDER",
        "eval --output": "FOLDER",
        "eval outpaint --output": "FILE",
        "data --output": "FOLDER",
        "--only-world": None,
        "--format": None,
        "--overlap": "PX",
        "--preview": "FILE",
        **dict.fromkeys(("--resume", "--restart", "--dry-run", "--half"), None),
        "--dump": "FOLDER",
        **dict.fromkeys(("--onnx", "--trt", "--triton", "--torchserve", "--plan"), None),
        **dict.fromkeys(("--web", "--ort"), "FOLDER"),
    },
    COMPUTATION: {
        "--model": "MODEL",
        "--network": None,
        "--random-weights": None,
        "--engine": "NAME",
        "--engine-file": "FILE",
        "--provider": None,
        "--tile": "PX",
        "--batch": "N",
        "--batches": "N,...",
        "--workspace": "MIB",
        "--precision": None,
        "--threads": "N",
        "--device": "DEVICE",
        "--scheduler": "ADDRESS",
    },
    MESSAGES: dict.fromkeys(("--json", "--quiet", "--verbose", "--debug", "--version", "--help")),
}


def find_word(command: str, option: str) -> tuple[str, str | None]:
    """Return panel and metavar of the option ``option`` of ``command``, such as "bench render" and "--tile".

    An unknown option is in the panel "Options" and has no metavar.
    """
    for name in (f"{command} {option}", f"{command.split(' ')[0]} {option}", option):
        for panel, options in PANELS.items():
            if name in options:
                return panel, options[name]
    return OPTIONS, None
