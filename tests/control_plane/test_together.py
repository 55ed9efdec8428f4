"""Questions that go together in one round trip."""

import asyncio

from control_plane.streaming.together import Together


class Shelf:
    """Values that are handed out when the test says so, and what was asked each time."""

    def __init__(self, values: dict[str, int]) -> None:
        self.values, self.rounds = values, list[list[str]]()
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def read(self, keys: list[str]) -> dict[str, int]:
        self.rounds.append(keys)
        self.is_asked.set()
        found = {key: self.values[key] for key in keys if key in self.values}
        await self.may_answer.wait()
        return found


def test_what_is_asked_meanwhile_goes_with_the_next_round_trip() -> None:
    """Two at once, then three while those are under way, one of them twice: two round trips."""

    async def asked() -> tuple[list[int | None], list[list[str]]]:
        shelf = Shelf({"a": 1, "b": 2, "c": 3})
        together = Together(shelf.read)
        answers = [together.get("a"), together.get("b")]
        await shelf.is_asked.wait()
        answers += [together.get("c"), together.get("c"), together.get("nothing")]
        shelf.may_answer.set()
        return [await answer for answer in answers], shelf.rounds

    answers, rounds = asyncio.run(asked())
    assert answers == [1, 2, 3, 3, None]
    assert rounds == [["a", "b"], ["c", "nothing"]]


def test_an_answer_is_never_older_than_its_question() -> None:
    """A value that changes while a round trip is under way is read again for who asks later."""

    async def asked() -> tuple[int | None, int | None]:
        shelf = Shelf({"a": 1})
        together = Together(shelf.read)
        before = together.get("a")
        await shelf.is_asked.wait()
        shelf.values = {"a": 2}
        after = together.get("a")
        shelf.may_answer.set()
        return await before, await after

    assert asyncio.run(asked()) == (1, 2)


def test_a_failure_is_everybodys_who_asked_and_the_next_question_is_asked_anew() -> None:
    """Also where one who asked has left in the meantime."""

    async def asked() -> tuple[list[str], int | None]:
        fails = [True]

        async def read(keys: list[str]) -> dict[str, int]:
            if fails:
                fails.pop()
                raise ConnectionError(*keys)
            return {"a": 1}

        together = Together(read)
        first, second, left = together.get("a"), together.get("a"), together.get("a")
        left.cancel()
        raised = await asyncio.gather(first, second, return_exceptions=True)
        return [str(error) for error in raised], await together.get("a")

    assert asyncio.run(asked()) == (["a", "a"], 1)
