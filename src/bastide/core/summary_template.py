# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of the public summary of training content, AI Act, Article 53(1)(d).

The template is the Commission's: C(2025) 8311 of 5 December 2025, sections 1 to 3. Every field is
answered: by evidence, by the provider, or openly not at all.
"""

from dataclasses import dataclass
from typing import Any, Final

from bastide.core.errors import Misconfigured

__all__ = ["FIELDS", "NOT_EVIDENCED", "PROVIDER", "SECTIONS", "Answer", "size_range"]

NOT_EVIDENCED: Final = "not evidenced"
PROVIDER: Final = "stated by the provider"

SECTIONS: Final = {
    "0": "The summary",
    "1.1": "Provider",
    "1.2": "Model",
    "1.3": "Modalities, size and characteristics of the training data",
    "2.1": "Publicly available datasets",
    "2.2": "Private datasets from third parties",
    "2.3": "Data crawled and scraped from online sources",
    "2.4": "User data",
    "2.5": "Synthetic data",
    "2.6": "Other sources",
    "3.1": "Respect of reservations of rights from text and data mining",
    "3.2": "Removal of illegal content",
    "3.3": "Other information",
}

FIELDS: Final = {
    "0.a": "Version of the summary, with links to previous versions",
    "0.b": "Last update",
    "1.1.provider": "Provider: name and contact details",
    "1.1.representative": "Authorised representative: name and contact details",
    "1.2.models": "Versioned model names",
    "1.2.dependencies": "Model dependencies",
    "1.2.placed": "Date of placement on the Union market",
    "1.3.text": "Text: is it used",
    "1.3.text-size": "Text: size range",
    "1.3.text-unit": "Text: size in another unit",
    "1.3.text-types": "Text: types of content",
    "1.3.image": "Image: used, size range, types of content",
    "1.3.audio": "Audio: used, size range, types of content",
    "1.3.video": "Video: used, size range, types of content",
    "1.3.other": "Other modalities: used, size range, types of content",
    "1.3.latest": "Latest date of data acquisition or collection",
    "1.3.languages": "Linguistic characteristics",
    "1.3.characteristics": "Other relevant characteristics",
    "1.3.comments": "Comments",
    "2.1.used": "Publicly available datasets: used",
    "2.1.modalities": "Modalities",
    "2.1.large": "Large publicly available datasets",
    "2.1.others": "General description of the others",
    "2.1.comments": "Comments",
    "2.2.1.used": "Commercially licensed by the holders of rights: used",
    "2.2.1.modalities": "Modalities",
    "2.2.2.used": "Other private datasets from third parties: used",
    "2.2.2.modalities": "Modalities",
    "2.2.2.known": "Those that are publicly known",
    "2.2.2.description": "General description of the others",
    "2.2.2.comments": "Comments",
    "2.3.used": "Crawlers used by the provider or on its behalf",
    "2.3.crawlers": "Names or identifiers of the crawlers",
    "2.3.purposes": "Purposes of the crawlers",
    "2.3.behaviour": "General behaviour: captchas, paywalls, passwords, robots.txt, protocols",
    "2.3.period": "Period of collection",
    "2.3.description": "Comprehensive description of content and sources",
    "2.3.modalities": "Modalities",
    "2.3.domains": "Most relevant domain names: the top 10 % by size of content",
    "2.3.comments": "Comments",
    "2.4.interactions": "Data from interactions with the model: used",
    "2.4.services": "Data from other services of the provider: used",
    "2.4.description": "General description",
    "2.4.modalities": "Modalities",
    "2.4.comments": "Comments",
    "2.5.used": "Synthetic data made by the provider or on its behalf: used",
    "2.5.modalities": "Modalities",
    "2.5.market": "General-purpose AI models on the market that made it",
    "2.5.models": "Other AI models that made it",
    "2.5.comments": "Comments",
    "2.6.used": "Other sources: used",
    "2.6.description": "Description",
    "3.1.code": "Signatory of the Code of Practice",
    "3.1.measures": "Measures before and during collection; protocols honoured",
    "3.2.measures": "Measures to avoid or remove illegal content",
    "3.3.other": "Other information about the processing of data",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One field: its value, and where it is from: an entry with its digest, or who stated it."""

    field: str
    value: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        return {
            "field": self.field,
            "title": FIELDS[self.field],
            "value": self.value,
            "source": self.source,
        }


def size_range(tokens: int) -> str:
    """The template's range for a text of so many tokens. Raises Misconfigured below none."""
    if tokens < 0:
        raise Misconfigured(f"{tokens} is no count of tokens")
    if tokens < 10**9:
        return "less than 1 billion tokens"
    if tokens <= 10**13:
        return "1 billion to 10 trillion tokens"
    return "more than 10 trillion tokens"
