"""What machine this is, for the head of a table."""
import pathlib
import platform


def cpu_fields():
    """The fields of the first processor in /proc/cpuinfo; none where there is no such file."""
    try:
        first = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def cpu():
    """The processor's name with its family and model, which the name of a virtual one often leaves out."""
    field = cpu_fields()
    family = f" (family {field['cpu family']}, model {field['model']})" if "cpu family" in field else ""
    return field.get("model name", platform.machine()) + family
