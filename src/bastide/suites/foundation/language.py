# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Language: simple statements in official languages of the European Union.

Options begin with ASCII letters, because some engines report no distribution for a token that is
half a character.
"""

from bastide.suites.foundation.square import Square, squares

__all__ = ["LANGUAGE"]

_SQUARES: tuple[Square, ...] = (
    (
        "sv-places",
        "{} ligger i",
        (
            ("Paris", "Frankrike"),
            ("Berlin", "Tyskland"),
            ("Madrid", "Spanien"),
            ("Rom", "Italien"),
        ),
    ),
    (
        "fi-places",
        "{} sijaitsee",
        (
            ("Pariisi", "Ranskassa"),
            ("Berliini", "Saksassa"),
            ("Madrid", "Espanjassa"),
            ("Rooma", "Italiassa"),
        ),
    ),
    (
        "et-places",
        "{} asub",
        (
            ("Pariis", "Prantsusmaal"),
            ("Berliin", "Saksamaal"),
            ("Madrid", "Hispaanias"),
            ("Rooma", "Itaalias"),
        ),
    ),
    (
        "de-places",
        "{} liegt in",
        (
            ("Paris", "Frankreich"),
            ("Berlin", "Deutschland"),
            ("Madrid", "Spanien"),
            ("Rom", "Italien"),
        ),
    ),
    (
        "nl-places",
        "{} ligt in",
        (
            ("Parijs", "Frankrijk"),
            ("Berlijn", "Duitsland"),
            ("Madrid", "Spanje"),
            ("Rome", "Italië"),
        ),
    ),
    (
        "pt-places",
        "{} fica na",
        (
            ("Paris", "França"),
            ("Berlim", "Alemanha"),
            ("Madrid", "Espanha"),
            ("Roma", "Itália"),
        ),
    ),
    (
        "pl-places",
        "{} jest stolicą",
        (
            ("Paryż", "Francji"),
            ("Berlin", "Niemiec"),
            ("Madryt", "Hiszpanii"),
            ("Rzym", "Włoch"),
        ),
    ),
    (
        "ro-places",
        "{} se află în",
        (
            ("Paris", "Franța"),
            ("Berlin", "Germania"),
            ("Madrid", "Spania"),
            ("Roma", "Italia"),
        ),
    ),
    (
        "fr-opposites",
        "Le contraire de {} est",
        (
            ("chaud", "froid"),
            ("grand", "petit"),
            ("blanc", "noir"),
            ("jeune", "vieux"),
        ),
    ),
    (
        "da-opposites",
        "Det modsatte af {} er",
        (
            ("varm", "kold"),
            ("stor", "lille"),
            ("sort", "hvid"),
            ("ny", "gammel"),
        ),
    ),
    (
        "it-opposites",
        "Il contrario di {} è",
        (
            ("caldo", "freddo"),
            ("grande", "piccolo"),
            ("bianco", "nero"),
            ("giovane", "vecchio"),
        ),
    ),
    (
        "es-opposites",
        "Lo contrario de {} es",
        (
            ("caliente", "frío"),
            ("grande", "pequeño"),
            ("blanco", "negro"),
            ("joven", "viejo"),
        ),
    ),
)

LANGUAGE = squares("language", _SQUARES)
