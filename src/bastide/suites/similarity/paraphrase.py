# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Paraphrase: the same in other words, among sentences that share more words with it."""

from bastide.suites.similarity.nearest import Pairs, nearest

__all__ = ["PARAPHRASE"]

_GROUPS: tuple[Pairs, ...] = (
    (
        "weather",
        (
            ("It will rain all day tomorrow.", "A wet day is expected."),
            ("The snow has melted in the village.", "The streets are clear of ice again."),
            ("A storm tore the roof off the barn.", "High winds damaged a farm building."),
            ("The heat made people stay indoors.", "It was too hot to go out."),
        ),
    ),
    (
        "money",
        (
            ("The bank raised its interest rates.", "Borrowing has become more expensive."),
            ("She paid back the whole loan.", "Her debt is settled."),
            ("The company lost money last year.", "The firm closed its books in the red."),
            ("He found a coin on the bank of the river.", "Something shiny lay by the water."),
        ),
    ),
    (
        "health",
        (
            ("The doctor told him to rest.", "He was advised to take it easy by his physician."),
            ("She broke her leg while skiing.", "A winter sports accident injured her."),
            ("The child has a high temperature.", "The little one is running a fever."),
            ("Washing your hands stops germs.", "Hygiene prevents infection."),
        ),
    ),
    (
        "computers",
        (
            ("My laptop will not turn on.", "The computer does not start."),
            ("I forgot my password.", "I cannot log in because I lost my credentials."),
            ("The page loads very slowly.", "This website takes ages to appear."),
            ("All my files were deleted.", "I have lost my data."),
        ),
    ),
    (
        "travel",
        (
            ("The train was two hours late.", "Our rail journey was badly delayed."),
            ("We slept in a tent by the lake.", "We went camping near the water."),
            ("The flight was fully booked.", "There were no seats left on the plane."),
            ("Turn left after the church.", "These are the directions to get there."),
        ),
    ),
    (
        "food",
        (
            ("The soup is far too salty.", "Somebody used too much seasoning in the broth."),
            ("He bakes his own bread.", "His loaves are homemade."),
            ("She does not eat meat.", "She is a vegetarian."),
            ("The milk has gone sour.", "The dairy drink is spoiled."),
        ),
    ),
)

PARAPHRASE = nearest("paraphrase", _GROUPS)
