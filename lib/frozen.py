"""What values are made of that cross a border of the project, or come from a file: checked, complete, never changed."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A pydantic model that cannot be changed and takes neither unknown fields nor numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
