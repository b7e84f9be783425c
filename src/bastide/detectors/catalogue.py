# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""DETECTORS: every detector that needs nothing but the text, by the names that policies use.

Three more are made from what they look for: `link.link_detectors` from a policy's hosts,
`erasure.erasure_detector` from a list, `prompt_leak.leak_detectors` from a system message.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bastide.detectors import (
    age_identity,
    aws_key,
    bastide_key,
    card,
    email,
    github_token,
    google_key,
    iban,
    invisible,
    ip_address,
    jwt,
    national_number,
    phone,
    private_key,
    slack_token,
)
from bastide.detectors.detector import Detector

__all__ = ["DETECTORS"]

DETECTORS: Final[Mapping[str, tuple[Detector, ...]]] = MappingProxyType(
    {
        "iban": (iban.DETECTOR,),
        "card": (card.DETECTOR,),
        "national-number": (national_number.DETECTOR,),
        "email": (email.DETECTOR,),
        "phone": (phone.DETECTOR,),
        "ip-address": (ip_address.DETECTOR,),
        "aws-key": (aws_key.KEY_ID,),
        "aws-secret": (aws_key.SECRET,),
        "github-token": (github_token.TOKEN, github_token.FINE),
        "bastide-key": (bastide_key.DETECTOR,),
        "private-key": (private_key.DETECTOR,),
        "jwt": (jwt.DETECTOR,),
        "slack-token": (slack_token.DETECTOR,),
        "google-key": (google_key.DETECTOR,),
        "age-identity": (age_identity.DETECTOR,),
        "invisible": (invisible.DETECTOR,),
    }
)
