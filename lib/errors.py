"""One base error: every message names what is wrong and what to do about it, in one sentence a user can act on."""


class CvAutomlError(Exception):
    """Anything the user can mend. Scripts print its message alone, without a traceback, and exit with 2."""


def printable(text: str) -> str:
    """Text from files as a terminal may show it: line feeds stay, other control characters become escapes."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class ConfigError(CvAutomlError):
    """A setting in config.yaml, the environment or an option is missing or wrong."""


class DataSetError(CvAutomlError):
    """A data set cannot be read: names the file, the line or field, what was expected and how to mend it."""


class WeightsError(CvAutomlError):
    """Pretrained weights cannot be found or do not fit the network."""


class IncompatiblePairError(CvAutomlError):
    """A backbone and a head (or a head and a task) that cannot work together; the message is the reason."""


class RecordError(CvAutomlError):
    """A run record is broken or breaks the schema."""


class MatrixError(CvAutomlError):
    """A table of scores is malformed or holds too little to complete: names the file, the row and the column."""


class TooLittleDataError(CvAutomlError):
    """There are too few finished runs (or cells) for what was asked."""
