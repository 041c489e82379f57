"""A token that refuses to pay alice: the contract keeps her money, and she fetches it when it can move."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.reads import AdjudicatorReader, TokenReader
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.core.errors import OperationalError, Rejected
from channeld.services.devchain.accounts import development_account
from tests.contracts.hostile.build import hostile
from tests.contracts.town import call_data
from tests.daemon.cluster import USD, Cluster, cluster
from tests.daemon.town import PURSE, STAKE, closed, leave_alone, window_end_s
