# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Retrieval: a question, and the passage that answers it."""

from bastide.suites.similarity.nearest import Pairs, nearest

__all__ = ["RETRIEVAL"]

_GROUPS: tuple[Pairs, ...] = (
    (
        "house-rules",
        (
            (
                "When may I play music?",
                "Residents keep quiet between ten at night and seven in the morning.",
            ),
            (
                "Where do I put old newspapers?",
                "Paper and cardboard go into the blue container in the yard.",
            ),
            (
                "Who repairs a broken radiator?",
                "Report faults of the heating to the caretaker, who calls a plumber.",
            ),
            (
                "Is my dog allowed here?",
                "Pets need the written consent of the landlord.",
            ),
        ),
    ),
    (
        "history",
        (
            (
                "Why were walls built around cities?",
                "Fortifications protected the inhabitants against attackers.",
            ),
            (
                "How did books become cheap?",
                "The printing press with movable type replaced copying by hand.",
            ),
            (
                "What carried goods before railways?",
                "Barges on canals and rivers moved coal and grain.",
            ),
            (
                "How did people light their homes?",
                "Candles and oil lamps were used until gas and electricity came.",
            ),
        ),
    ),
    (
        "nature",
        (
            ("How do bees find flowers?", "Insects are guided to nectar by colour and scent."),
            ("Why is the sea salty?", "Rivers wash minerals from rocks into the ocean."),
            ("What makes the tides?", "The pull of the moon lifts the water twice a day."),
            ("How do trees survive winter?", "In autumn they drop their leaves and rest."),
        ),
    ),
    (
        "work",
        (
            (
                "How many days off do I have?",
                "Every employee is entitled to thirty days of paid vacation a year.",
            ),
            (
                "What do I do when I am ill?",
                "Tell your supervisor in the morning and send a medical certificate.",
            ),
            (
                "How are travel costs paid back?",
                "Hand in receipts and tickets to be reimbursed at the end of the month.",
            ),
            (
                "Can I work from home?",
                "Remote work is possible on two days a week by agreement.",
            ),
        ),
    ),
    (
        "software",
        (
            (
                "How do I undo a deployment?",
                "To roll back, publish the previous release again.",
            ),
            (
                "Where are passwords kept?",
                "Secrets are stored encrypted in the key vault.",
            ),
            (
                "Why was my request refused with 429?",
                "The rate limit was exceeded; wait before you try again.",
            ),
            (
                "How can I read old log entries?",
                "Archived events are found with the search command.",
            ),
        ),
    ),
    (
        "kitchen",
        (
            ("How long do I boil an egg?", "Six minutes in hot water leave the yolk soft."),
            ("How do I keep herbs fresh?", "Put the stems in a glass of water, covered."),
            ("What makes dough rise?", "Yeast turns sugar into gas bubbles."),
            ("How do I sharpen a knife?", "Draw the blade along a wet stone at a flat angle."),
        ),
    ),
)

RETRIEVAL = nearest("retrieval", _GROUPS)
