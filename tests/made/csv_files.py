"""CSV files in a folder."""

from __future__ import annotations

from pathlib import Path

ORDINARY = "id,age,spent,active,name,since,none\n" + "".join(
    f'{n:05d},{n % 80},{n / 3},{"True" if n % 2 else "FALSE"},"Doe, {n}",May {n},\n'
    if n % 7
    else f"{n:05d},NA,,null,N/A,-,\n"
    for n in range(3000)
)


def files(folder: Path, **texts: str | bytes) -> Path:
    """Write files of these names, with `.csv` at the end unless the name tells otherwise."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        content = text.encode() if isinstance(text, str) else text
        (folder / (name.replace("__", ".") if "__" in name else f"{name}.csv")).write_bytes(content)
    return folder
