"""``spoton models reindex``: stored persons' vectors, after a change of embedder."""

import argparse
import asyncio

from control_plane.access.master_key import master_key
from control_plane.embedded import running_services
from control_plane.identity.reindexing import Reindexed, reindex
from control_plane.settings import Settings
from control_plane.store import Store
from control_plane.terminal import console, print_json
from plugins.encryption import open_cipher
from plugins.inference.embedder import Embedder
from plugins.inference.triton_client import Triton

NEEDED = ("database_url", "triton_url")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""
    parser.epilog = "Needs the key that stored pictures are encrypted with (SPOTON_DATA_KEY)."


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Computes, and says how many."""
    with running_services(settings, needed=NEEDED) as complete:
        done = asyncio.run(_reindex(complete))
    if args.json:
        print_json(done)
    else:
        print(f"{done.persons} persons have vectors of {done.model} now; {done.without_pictures} "
              "have no stored picture and keep vectors that are compared with nothing")  # fmt: skip
    return 0


async def _reindex(settings: Settings) -> Reindexed:
    store = Store(settings.database_url or "")
    triton = Triton(settings.triton_url or "", repository=settings.model_repository)
    try:
        async with store.connection() as connection:
            cipher = await open_cipher(connection, master_key(settings))
        embedder = Embedder(triton)
        with console.status("computing vectors") as status:
            return await reindex(
                store, cipher, embedder, lambda n: status.update(f"computing vectors: {n} persons")
            )
    finally:
        triton.close()
        await store.close()
