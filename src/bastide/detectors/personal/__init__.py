# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Personal data in whole documents: one search for candidates, then checksums, then context.

A stream of an answer is judged place by place (see `detectors.scanner`); a corpus is read whole
and by the hundred gigabytes. So here one automaton (RE2) passes over the bytes, and only where it
stops the same rules are asked, with the words before *and* behind a place. `finder.Finder` is the
way in, `kinds.KINDS` says what it finds.
"""
