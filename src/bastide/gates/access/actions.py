# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ACTIONS: everything that a person's command does, with the duty it belongs to and on what.

The Cedar schema (schema.py), the reference of duties and the exhaustive test are made of this
table. A use case names its action in its first line; an action that is not here does not exist.
"""

from dataclasses import dataclass
from typing import Final

from bastide.core.party import Duty

__all__ = ["ACTIONS", "NEVER_IN_EMERGENCY", "Action"]


@dataclass(frozen=True, slots=True)
class Action:
    """One row. `on`: the type of the thing acted upon, where the command names one."""

    duty: Duty
    on: str
    does: str


ACTIONS: Final[dict[str, Action]] = {
    "dataset-build": Action(Duty.PREPARE, "Dataset", "plan and build a dataset"),
    "dataset-index": Action(Duty.PREPARE, "Dataset", "index a dataset, and search in it"),
    "dataset-text": Action(Duty.PREPARE, "Dataset", "read a dataset's texts and names"),
    "dataset-export": Action(Duty.PREPARE, "Dataset", "write a dataset for others"),
    "dataset-erase": Action(Duty.PREPARE, "Dataset", "erase a person from datasets"),
    "dataset-release": Action(Duty.PREPARE, "Dataset", "release a dataset"),
    "pseudonym-key-end": Action(Duty.PREPARE, "Dataset", "shred a dataset's pseudonym key"),
    "summary-write": Action(Duty.PREPARE, "Dataset", "make and record a public summary"),
    "model-admit": Action(Duty.ADMIT, "Model", "admit a model"),
    "model-evaluate": Action(Duty.EVALUATE, "Model", "evaluate a model"),
    "release-propose": Action(Duty.PROPOSE, "Release", "propose a release"),
    "release-publish": Action(Duty.PROPOSE, "Release", "publish a release"),
    "release-push": Action(Duty.PROPOSE, "Release", "seal a release to another key"),
    "deployment-start": Action(Duty.DEPLOY, "Deployment", "put a release into service"),
    "deployment-end": Action(Duty.DEPLOY, "Deployment", "take a deployment out of service"),
    "alias-set": Action(Duty.DEPLOY, "Deployment", "give a deployment other names"),
    "node-join": Action(Duty.DEPLOY, "Node", "let a machine join"),
    "machine-add": Action(Duty.DEPLOY, "Node", "invite a machine, or remove one"),
    "service-key-rotate": Action(Duty.DEPLOY, "Key", "make a successor of a service's key"),
    "store-move": Action(Duty.DEPLOY, "Store", "bring sealed objects to another place"),
    "ledger-rebuild": Action(Duty.DEPLOY, "Ledger", "rebuild the ledger's projections"),
    "tenant-add": Action(Duty.MANAGE_TENANTS, "Tenant", "enrol a tenant"),
    "project-add": Action(Duty.MANAGE_TENANTS, "Tenant", "add a tenant's project"),
    "application-move": Action(Duty.MANAGE_TENANTS, "Tenant", "make the variables of a move"),
    "key-make": Action(Duty.MANAGE_TENANTS, "Tenant", "make an API key"),
    "key-rotate": Action(Duty.MANAGE_TENANTS, "Key", "rotate an API key"),
    "key-revoke": Action(Duty.MANAGE_TENANTS, "Key", "revoke an API key"),
    "price-set": Action(Duty.MANAGE_TENANTS, "Model", "set a price"),
    "budget-set": Action(Duty.MANAGE_TENANTS, "Tenant", "set a budget"),
    "share-set": Action(Duty.MANAGE_TENANTS, "Tenant", "promise a share"),
    "guard-set": Action(Duty.GUARD, "Tenant", "set a tenant's guard"),
    "erasure-list": Action(Duty.GUARD, "Ledger", "make, carry and record erasure lists"),
    "approve": Action(Duty.SIGN, "Ledger", "record a party's approval"),
    "revoke": Action(Duty.SIGN, "Ledger", "record a party's revocation"),
    "node-reference": Action(Duty.SIGN, "Node", "record the guardian's reference values"),
    "witness-enrol": Action(Duty.SIGN, "Ledger", "record a party's witness"),
    "signing-key-change": Action(Duty.SIGN, "Key", "record a change of signing keys"),
    "store-key-shred": Action(Duty.SIGN, "Key", "destroy a replaced key of the store"),
    "store-key-move": Action(Duty.SIGN, "Key", "give the store's key to another holder"),
    "ceremony-hold": Action(Duty.SIGN, "Ledger", "record a key ceremony"),
    "policy-apply": Action(Duty.SIGN, "Ledger", "record another set of access policies"),
    "people-apply": Action(Duty.SIGN, "Ledger", "record who logs in, and where"),
    "incident-end": Action(Duty.SIGN, "Ledger", "close an incident with a report"),
    "unseal": Action(Duty.SIGN, "Ledger", "start the services with custodians' shares"),
    "quorum-split": Action(Duty.SIGN, "Ledger", "split the quorum again, for other custodians"),
    "store-deny": Action(Duty.STOP, "Store", "let nobody open sealed objects"),
    "store-allow": Action(Duty.GUARD, "Store", "let denied objects be opened again"),
    "break-glass-open": Action(Duty.BREAK_GLASS, "Ledger", "open an emergency"),
    "login": Action(Duty.READ, "Ledger", "log in"),
    "read": Action(Duty.READ, "Ledger", "read what the ledger says"),
}

# What ends for good, or changes who decides: no policy permits these because the glass is broken.
NEVER_IN_EMERGENCY: Final = (
    "approve",
    "break-glass-open",
    "dataset-erase",
    "ledger-rebuild",
    "people-apply",
    "policy-apply",
    "pseudonym-key-end",
    "quorum-split",
    "release-push",
    "service-key-rotate",
    "signing-key-change",
    "store-allow",
    "store-key-move",
    "store-key-shred",
    "witness-enrol",
)
