"""A partition of 1,000,000 rows, written to S3 over HTTP and read back: time and memory as JSON.

`python -m tests.services.million [ROWS]`; the server runs in a process of its own.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from targen.tables.files import Stored, Tables
from targen.tables.storage import open_storage
from tests.services import s3
from tests.services.stack import BUCKET, answers, free_port, wait_for


def table(rows: int) -> pl.DataFrame:
    """Return rows like those of a corrected set: two texts, labels, ids."""
    number = pl.int_range(rows, eager=True)
    words = pl.Series(["The river rose", "A judge said", "Nobody saw", "She wrote"])
    text = pl.concat_str(
        words.gather(number % 4),
        pl.lit(" that the case of "),
        number.cast(pl.String),
        pl.lit(" had been closed before the winter, and that nothing was ever paid for it."),
    )
    frame = pl.DataFrame({"number": number})
    return frame.select(
        instance_id=pl.col("number").hash(1).cast(pl.String),
        premise=text,
        hypothesis=pl.lit("Case ") + pl.col("number").cast(pl.String) + pl.lit(" was closed."),
        label=pl.when(pl.col("number") % 2 == 0).then(pl.lit("yes")).otherwise(pl.lit("no")),
        verdict=pl.lit("kept"),
        request_ids=pl.concat_list(pl.col("number").hash(2).cast(pl.String)),
    )


def peak_mib() -> float:
    """Return the most memory that this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0)


def main() -> None:
    """Measure, and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    port = free_port()
    server = subprocess.Popen(
        [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for("the S3 server", lambda: answers(f"http://127.0.0.1:{port}/moto-api/"), 60)
        where = {"LocationConstraint": s3.SETTINGS["AWS_DEFAULT_REGION"]}
        s3.client(port).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        os.environ |= s3.SETTINGS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        tables = Tables(open_storage(f"s3://{BUCKET}/million"))
        made = Stored(table(rows))
        held = round(made.table.estimated_size("mb"), 0)
        before = peak_mib()
        figures = {"rows": rows, "table_mib": held, "peak_before_mib": before}
        started = time.monotonic()
        tables.write("corrected_set", "million", made)
        figures["write_s"] = round(time.monotonic() - started, 2)
        figures["peak_after_write_mib"] = peak_mib()
        head = s3.client(port).head_object(
            Bucket=BUCKET, Key="million/corrected_set/million.parquet"
        )
        figures["file_mib"] = round(head["ContentLength"] / 2**20, 1)
        started = time.monotonic()
        found = tables.read("corrected_set", "million")
        figures["read_s"] = round(time.monotonic() - started, 2)
        figures["peak_after_read_mib"] = peak_mib()
        started = time.monotonic()
        if found.data_version != made.data_version:
            raise SystemExit("what was read is not what was written")
        figures["two_data_versions_s"] = round(time.monotonic() - started, 2)
        figures["peak_mib"] = peak_mib()
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
