# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Knowledge: common facts in English, as endings of a statement."""

from bastide.suites.foundation.square import Square, squares

__all__ = ["KNOWLEDGE"]

_SQUARES: tuple[Square, ...] = (
    (
        "capitals-west",
        "The capital of {} is",
        (
            ("France", "Paris"),
            ("Germany", "Berlin"),
            ("Italy", "Rome"),
            ("Spain", "Madrid"),
        ),
    ),
    (
        "capitals-north",
        "The capital of {} is",
        (
            ("Sweden", "Stockholm"),
            ("Norway", "Oslo"),
            ("Finland", "Helsinki"),
            ("Denmark", "Copenhagen"),
        ),
    ),
    (
        "symbols",
        "The chemical symbol {} stands for",
        (
            ("Fe", "iron"),
            ("Au", "gold"),
            ("Na", "sodium"),
            ("He", "helium"),
        ),
    ),
    (
        "kinds",
        "{} is a kind of",
        (
            ("A salmon", "fish"),
            ("An eagle", "bird"),
            ("An oak", "tree"),
            ("A ruby", "gem"),
        ),
    ),
    (
        "colours",
        "The color of {} is",
        (
            ("grass", "green"),
            ("blood", "red"),
            ("snow", "white"),
            ("coal", "black"),
        ),
    ),
    (
        "authors",
        "{} was written by",
        (
            ("Romeo and Juliet", "Shakespeare"),
            ("War and Peace", "Tolstoy"),
            ("Don Quixote", "Cervantes"),
            ("The Divine Comedy", "Dante"),
        ),
    ),
    (
        "currencies",
        "The currency of {} is the",
        (
            ("Japan", "yen"),
            ("India", "rupee"),
            ("Germany", "euro"),
            ("the United States", "dollar"),
        ),
    ),
    (
        "tongues",
        "Most people in {} speak",
        (
            ("Brazil", "Portuguese"),
            ("Austria", "German"),
            ("Mexico", "Spanish"),
            ("Egypt", "Arabic"),
        ),
    ),
    (
        "organs",
        "The organ that {} is the",
        (
            ("pumps blood", "heart"),
            ("filters blood", "kidney"),
            ("thinks", "brain"),
            ("digests food", "stomach"),
        ),
    ),
    (
        "young",
        "A baby {} is called a",
        (
            ("dog", "puppy"),
            ("cat", "kitten"),
            ("cow", "calf"),
            ("horse", "foal"),
        ),
    ),
    (
        "planets",
        "The planet {} is",
        (
            ("with bright rings", "Saturn"),
            ("we live on", "Earth"),
            ("that is the largest", "Jupiter"),
            ("farthest from the Sun", "Neptune"),
        ),
    ),
    (
        "rivers",
        "The river {} flows through",
        (
            ("Thames", "London"),
            ("Seine", "Paris"),
            ("Danube", "Vienna"),
            ("Tiber", "Rome"),
        ),
    ),
    (
        "opposites",
        "The opposite of {} is",
        (
            ("hot", "cold"),
            ("big", "small"),
            ("up", "down"),
            ("old", "young"),
        ),
    ),
    (
        "tools",
        "A {} is used to",
        (
            ("knife", "cut"),
            ("pen", "write"),
            ("broom", "sweep"),
            ("shovel", "dig"),
        ),
    ),
    (
        "people",
        "{} was a great",
        (
            ("Mozart", "composer"),
            ("Einstein", "scientist"),
            ("Picasso", "painter"),
            ("Napoleon", "general"),
        ),
    ),
)

KNOWLEDGE = squares("knowledge", _SQUARES)
