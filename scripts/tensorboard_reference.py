"""What TensorBoard itself writes and reads: the bytes in the test of src/report/tensorboard.rs, and a check of a run.

    python scripts/tensorboard_reference.py         prints three records of TensorBoard's own writer
    python scripts/tensorboard_reference.py RUN     compares a run's event file with its metrics.jsonl and pictures

Needs tensorboard (2.21.0 made the bytes in the test) and Pillow.
"""
import io
import json
import pathlib
import struct
import sys


def write():
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    image = Summary.Image(height=2, width=300, colorspace=3, encoded_image_string=b"not really a PNG")
    events = [
        Event(wall_time=1763856000.25, file_version="brain.Event:2"),
        Event(
            wall_time=1763856012.5,
            step=300,
            summary=Summary(
                value=[
                    Summary.Value(tag="loss/loss", simple_value=1234.5678),
                    Summary.Value(tag="accuracy/domain_15", simple_value=0.0),
                ]
            ),
        ),
        Event(wall_time=1763856013.0, step=1, summary=Summary(value=[Summary.Value(tag="p", image=image)])),
    ]
    for event in events:
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        print(record.getvalue().hex())


def check(run):
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    accumulator = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    found = {}
    for tag in tags["scalars"]:
        events = accumulator.Scalars(tag)
        steps = [event.step for event in events]
        assert steps == sorted(set(steps)), f"{tag}: the steps {steps} are not ascending"
        assert all(a.wall_time <= b.wall_time for a, b in zip(events, events[1:])), f"{tag}: times go back"
        for event in events:
            found[event.step, tag.split("/")[1]] = event.value
    expected = {}
    for line in lines:
        numbers = {key: value for key, value in line.items() if isinstance(value, float)}
        numbers |= {f"domain_{name}": value for name, value in line["domain_accuracy"].items()}
        for key, value in numbers.items():
            rounded = struct.unpack("f", struct.pack("f", value))[0]
            expected[line["epoch"], key.removesuffix("_accuracy")] = rounded
    assert found == expected, f"the file lacks {set(expected) - set(found)} or has {set(found) - set(expected)}"
    print(f"{len(tags['scalars'])} tags of {len(lines)} epochs: {len(found)} numbers are those of metrics.jsonl")

    pictures = {path.stem: path.read_bytes() for path in sorted(run.glob("*.png"))}
    assert sorted(tags["images"]) == sorted(f"pictures/{name}" for name in pictures), tags["images"]
    for name, expected in pictures.items():
        (event,) = accumulator.Images(f"pictures/{name}")
        size = Image.open(io.BytesIO(expected)).size
        assert event.encoded_image_string == expected and (event.width, event.height) == size, name
        assert event.step == lines[-1]["epoch"], event.step
    print(f"{len(pictures)} pictures are those of the folder: {', '.join(pictures)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        check(pathlib.Path(sys.argv[1]))
    else:
        write()
