"""The composition root: which adapter keeps which port's promise. Only this file knows them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from dependency_injector import containers, providers

from adapters.auth.keys import JwksKeys, Keys, OneKey, public_key, shared_secret
from adapters.auth.tokens import JwtAuthenticator
from adapters.http import server
from adapters.http.app import create_app, create_operations_app
from adapters.http.config import PublicSettings
from adapters.http.idempotency import A_DAY
from adapters.http.user_api import UseCases, user_api
from adapters.http.users import RateLimit
from adapters.otlp.tracing import OtlpTracing
from adapters.postgres import privileges
from adapters.postgres.asked_terms import PostgresAskedTerms
from adapters.postgres.claims import PostgresClaims
from adapters.postgres.engine import autocommitting, create_engine
from adapters.postgres.examiner import PostgresExaminer
from adapters.postgres.health import PostgresHealth
from adapters.postgres.histories import PostgresHistories
from adapters.postgres.idempotency import PostgresIdempotencyKeys
from adapters.postgres.inbox import PostgresIntake
from adapters.postgres.levels import PostgresLevels
from adapters.postgres.partitions import PostgresPartitions
from adapters.postgres.retention import PostgresRetention
from adapters.postgres.schedule import PostgresSchedule
from adapters.postgres.settlements import PostgresSettlements
from adapters.postgres.shown_previews import PostgresShownPreviews
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from adapters.postgres.wakeups import PostgresWakeups
from adapters.prometheus.metrics import CollectorRegistry, PrometheusMetrics
from adapters.prometheus.page import PrometheusPage
from adapters.rabbitmq.event_publisher import RabbitMQEventPublisher
from adapters.rabbitmq.examiner import RabbitMQExaminer
from adapters.stripe.api import API_VERSION, StripeApi
from adapters.stripe.billing import StripeBilling
from adapters.stripe.catalog import StripeCatalog
from adapters.stripe.examiner import StripeExaminer
from adapters.stripe.payment_provider import StripePaymentProvider
from adapters.stripe.purchases import StripePurchases
from adapters.stripe.records import StripeRecords
from adapters.stripe.translation import HANDLED_TYPES
from adapters.stripe.webhook_endpoints import StripeWebhookEndpoints
from adapters.stripe.webhooks import StripeWebhooks
from adapters.system.clock import SystemClock
from domain.events import PaymentFailure
from domain.money import Money
from domain.plans import Interval, Offer, Plan, PriceList
from domain.subscription import AccessPolicy, Status
from ports.asked_terms import AskedTerms
from ports.authentication import Authenticator
from ports.billing import Billing
from ports.catalog import Catalog
from ports.claims import Claims
from ports.clock import Clock
from ports.diagnosis import Examiner, Finding
from ports.event_publisher import EventPublisher
from ports.health import HealthCheck
from ports.histories import Histories
from ports.idempotency import IdempotencyKeys
from ports.inbox import Intake
from ports.levels import Levels
from ports.metrics import Metrics, MetricsPage
from ports.partitions import Partitions
from ports.payment_provider import PaymentProvider, ProviderRefused, ProviderUnavailable
from ports.provider_records import ProviderRecords
from ports.purchases import OperationConflict, Purchases
from ports.retention import Kept, Retention, Swept
from ports.schedule import Schedule
from ports.settlements import Settlements
from ports.shown_previews import ShownPreviews
from ports.unit_of_work import UnitOfWork
from ports.wakeups import Stage, Wakeups
from ports.webhook_endpoints import WebhookEndpoints
from ports.webhooks import RejectionReason, WebhookReader
from service import doctor, logs
from service.cancel_subscription import CancelSubscription
from service.change_plan import ChangePlan
from service.close_abandoned import CloseAbandoned
from service.ensure_customer import EnsureCustomer
from service.event_messages import MESSAGE_TYPES
from service.explain import Explain, Explanation
from service.held_back import HeldBack
from service.housekeeping import Housekeeping, Job
from service.lanes import Lanes, PartOfShare
from service.learn_prices import LearnPrices
from service.list_invoices import ListInvoices
from service.open_portal import OpenPortal
from service.own_webhooks import OwnWebhooks
from service.owned_subscription import OwnedSubscription
from service.process_inbox import ProcessInbox, ProcessingRules
from service.provider_lookups import ProviderLookups
from service.purchasing import Offers, Purchasing
from service.receive_webhook import ReceiveWebhook
from service.reconcile import Reconcile, Reconciliation
from service.redirects import RedirectOrigins
from service.relay_outbox import RelayOutbox
from service.replay_webhooks import ReplayWebhooks
from service.republish import Republish
from service.retention import ApplyRetention
from service.retry import RetryPolicy
from service.settings import STRIPE_SETTINGS, Settings, SettingsError
from service.start_checkout import StartCheckout
from service.subscribe import Subscribe
from service.sync_catalog import SyncCatalog
from service.sync_checkout import SyncCheckout
from service.tracing import Traces
from service.view_subscription import Viewer, ViewSubscription
from service.worker import Worker

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

# Seconds that the worker waits for the first answer about prices.
_PRICES_MAY_TAKE = 2.0
# Often enough that each time is short; nothing is erased to the minute.
_RETENTION_EVERY = timedelta(hours=1)
# A small part of the day after which they count as abandoned.
_ABANDONED_EVERY = timedelta(hours=1)
# Of each stage of the worker. A third makes no difference (docs/performance.md).
_LANES = 2
# Intake, inbox and outbox in two lanes each, partitions, two listeners, health check, one to spare.
_POOL_SIZE = 10
# What users do has connections of its own: however much they ask for, webhooks are taken.
_USERS_POOL_SIZE = 8


def price_list(settings: Settings) -> PriceList:
    """What is sold, from the settings."""
    amounts = {
        (Plan.GENERAL, Interval.MONTH, "general_monthly"): settings.general_monthly,
        (Plan.GENERAL, Interval.YEAR, "general_annual"): settings.general_annual,
        (
            Plan.EVENT_ORGANIZER,
            Interval.MONTH,
            "event_organizer_monthly",
        ): settings.event_organizer_monthly,
        (
            Plan.EVENT_ORGANIZER,
            Interval.YEAR,
            "event_organizer_annual",
        ): settings.event_organizer_annual,
    }
    return PriceList(
        Offer(lookup_key, plan, interval, Money(amount, settings.currency))
        for (plan, interval, lookup_key), amount in amounts.items()
    )


def processing_rules(settings: Settings) -> ProcessingRules:
    """How webhooks are worked off, from the settings."""
    return ProcessingRules(
        livemode=settings.livemode,
        access=AccessPolicy(past_due_grace=timedelta(days=settings.past_due_grace_days)),
        retry=RetryPolicy(max_attempts=settings.retry_max_attempts),
    )


def public_settings(settings: Settings) -> PublicSettings:
    """What anyone may know of the settings."""
    return PublicSettings(
        settings.stripe_publishable_key, settings.currency, settings.trial_period_days
    )


def access_policy(settings: Settings) -> AccessPolicy:
    """Who has access, from the settings."""
    return AccessPolicy(timedelta(days=settings.past_due_grace_days))


def kept_for(settings: Settings) -> Kept:
    """How long things are kept, from the settings."""
    return Kept(
        payloads=timedelta(days=settings.payload_retention_days),
        event_ids=timedelta(days=settings.event_id_retention_days),
        messages=timedelta(days=settings.message_retention_days),
        answers=A_DAY,
    )


def lookback(settings: Settings) -> timedelta:
    """Through how much of the provider's past is looked, from the settings."""
    return timedelta(days=settings.reconcile_lookback_days)


def jobs(
    settings: Settings,
    retention: ApplyRetention,
    close_abandoned: CloseAbandoned,
    reconcile: Reconcile,
) -> list[Job]:
    """What a worker does from time to time, from the settings."""
    found = [
        Job("retention", _RETENTION_EVERY, lambda _: retention()),
        Job("abandoned", _ABANDONED_EVERY, lambda _: close_abandoned()),
    ]
    if settings.reconcile_interval_hours:
        every = timedelta(hours=settings.reconcile_interval_hours)
        found.append(Job("reconcile", every, lambda progress: reconcile(progress=progress)))
    return found


def count_from_zero(registry: CollectorRegistry) -> PrometheusMetrics:
    """Metrics that show what may happen before it does, so that alerts see the first of it."""
    metrics = PrometheusMetrics(registry, event_types=HANDLED_TYPES, api_version=API_VERSION)
    metrics.expect(
        rejections=RejectionReason,
        payments=["succeeded", *PaymentFailure],
        messages=[kind.routing_key for kind in MESSAGE_TYPES.values()],
        errors=logs.ERRORS,
    )
    return metrics


def token_keys(settings: Settings) -> Keys:
    """What tokens are verified with, from the settings. Raises SettingsError for no usable key."""
    if settings.jwt_jwks_url is not None:
        return JwksKeys(settings.jwt_jwks_url)
    if settings.jwt_public_key is not None:
        try:
            return OneKey(public_key(settings.jwt_public_key))
        except ValueError as error:
            raise SettingsError([f"JWT_PUBLIC_KEY {error}"]) from None
    assert settings.jwt_secret is not None, "the settings hold one of the three"
    return OneKey(shared_secret(settings.jwt_secret))


def required_scope(settings: Settings) -> tuple[str, ...]:
    """The scopes that tokens must hold, from the settings."""
    return settings.jwt_required_scope or ()


def in_lanes(
    partitions: Partitions, make: Callable[..., ProcessInbox] | Callable[..., RelayOutbox]
) -> Lanes:
    """A stage in its lanes. `make` lacks the partitions only."""
    parts = (PartOfShare(partitions, number, _LANES) for number in range(_LANES))
    return Lanes(make(partitions=partitions), [make(partitions=part) for part in parts])


class Container(containers.DeclarativeContainer):
    """Everything a process is made of. Each provider is typed with the port it stands for."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    users_engine = providers.Singleton(
        create_engine,
        settings.provided.database_url,
        name="payments users",
        pool_size=_USERS_POOL_SIZE,
    )
    engine = providers.Singleton(
        create_engine, settings.provided.database_url, name="payments", pool_size=_POOL_SIZE
    )
    # For what operators ask, which may take as long as it takes.
    patient_engine = providers.Singleton(
        create_engine,
        settings.provided.database_url,
        name="payments operator",
        pool_size=1,
        patient=True,
    )
    prices: providers.Provider[PriceList] = providers.Singleton(price_list, settings)

    registry = providers.Singleton(CollectorRegistry)
    metrics: providers.Provider[Metrics] = providers.Singleton(count_from_zero, registry)
    tracing = providers.Singleton(OtlpTracing, settings.provided.otel_exporter_otlp_endpoint)
    traces = providers.Singleton(Traces, tracing.provided.tracer)
    database_health: providers.Provider[HealthCheck] = providers.Singleton(PostgresHealth, engine)
    levels: providers.Provider[Levels] = providers.Singleton(PostgresLevels, engine)
    metrics_page: providers.Provider[MetricsPage] = providers.Singleton(
        PrometheusPage,
        registry,
        levels,
        database_health,
        statuses=list(map(str, Status)),
        plans=list(map(str, Plan)),
    )
    clock: providers.Provider[Clock] = providers.Singleton(SystemClock)
    webhooks: providers.Provider[WebhookReader] = providers.Singleton(
        StripeWebhooks, settings.provided.stripe_webhook_secrets, prices
    )
    # The worker reads what was verified when it came in, and has no secrets to verify with.
    stored_webhooks: providers.Provider[WebhookReader] = providers.Singleton(
        StripeWebhooks, (), prices
    )
    stripe_api = providers.Singleton(
        StripeApi,
        settings.provided.stripe_secret_key,
        settings.provided.stripe_api_base,
        metrics=metrics,
    )
    payment_provider: providers.Provider[PaymentProvider] = providers.Singleton(
        StripePaymentProvider, stripe_api, prices
    )
    purchases: providers.Provider[Purchases] = providers.Singleton(
        StripePurchases, stripe_api, prices
    )
    billing: providers.Provider[Billing] = providers.Singleton(StripeBilling, stripe_api, prices)
    catalog: providers.Provider[Catalog] = providers.Singleton(StripeCatalog, stripe_api)
    webhook_endpoints: providers.Provider[WebhookEndpoints] = providers.Singleton(
        StripeWebhookEndpoints, stripe_api
    )
    authenticator: providers.Provider[Authenticator] = providers.Singleton(
        JwtAuthenticator,
        providers.Singleton(token_keys, settings),
        issuer=settings.provided.jwt_issuer,
        audience=settings.provided.jwt_audience,
        required_scope=providers.Callable(required_scope, settings),
    )
    intake: providers.Provider[Intake] = providers.Singleton(PostgresIntake, engine)
    # Once for all units of work: making such an engine takes longer than a statement.
    autocommitting_engine = providers.Singleton(autocommitting, engine)
    unit_of_work: providers.Provider[UnitOfWork] = providers.Factory(
        PostgresUnitOfWork, autocommitting_engine
    )
    users_unit_of_work: providers.Provider[UnitOfWork] = providers.Factory(
        PostgresUnitOfWork, providers.Singleton(autocommitting, users_engine)
    )
    # Each statement for itself: what the relay claims it need not hold, and marks may come apart.
    single_statements: providers.Provider[UnitOfWork] = providers.Factory(
        PostgresUnitOfWork, autocommitting_engine, atomic=False
    )
    partitions: providers.Provider[Partitions] = providers.Singleton(PostgresPartitions, engine)
    wakeups: providers.Provider[Wakeups] = providers.Singleton(PostgresWakeups, engine)
    idempotency_keys: providers.Provider[IdempotencyKeys] = providers.Singleton(
        PostgresIdempotencyKeys, users_engine
    )
    shown_previews: providers.Provider[ShownPreviews] = providers.Singleton(
        PostgresShownPreviews, users_engine
    )
    asked_terms: providers.Provider[AskedTerms] = providers.Singleton(
        PostgresAskedTerms, users_engine
    )
    claims: providers.Provider[Claims] = providers.Singleton(PostgresClaims, users_engine)
    settlements: providers.Provider[Settlements] = providers.Singleton(
        PostgresSettlements, users_engine
    )
    event_publisher: providers.Provider[EventPublisher] = providers.Singleton(
        RabbitMQEventPublisher, settings.provided.rabbitmq_url
    )

    receive_webhook = providers.Singleton(
        ReceiveWebhook, webhooks, intake, clock, metrics=metrics, traces=traces
    )
    learn_prices = providers.Singleton(LearnPrices, payment_provider, prices)
    lookups = providers.Singleton(
        ProviderLookups,
        payment_provider,
        answered=providers.Callable(lambda wakeups: lambda: wakeups.wake(Stage.INBOX), wakeups),
    )
    process_inbox = providers.Singleton(
        in_lanes,
        partitions,
        providers.Factory(
            ProcessInbox,
            unit_of_work.provider,
            stored_webhooks,
            lookups,
            wakeups=wakeups,
            rules=providers.Singleton(processing_rules, settings),
            metrics=metrics,
            traces=traces,
        ).provider,
    )
    relay_outbox = providers.Singleton(
        in_lanes,
        partitions,
        providers.Factory(
            RelayOutbox,
            single_statements.provider,
            event_publisher,
            clock=clock,
            held_back=providers.Singleton(HeldBack),
            metrics=metrics,
            traces=traces,
        ).provider,
    )
    operators_unit_of_work: providers.Provider[UnitOfWork] = providers.Factory(
        PostgresUnitOfWork, patient_engine
    )
    replay_webhooks = providers.Singleton(ReplayWebhooks, operators_unit_of_work.provider)
    republish = providers.Singleton(
        Republish,
        unit_of_work.provider,
        clock,
        providers.Singleton(access_policy, settings),
        partitions,
    )
    schedule: providers.Provider[Schedule] = providers.Singleton(PostgresSchedule, engine)
    retention: providers.Provider[Retention] = providers.Singleton(PostgresRetention, engine)
    histories: providers.Provider[Histories] = providers.Singleton(
        PostgresHistories, patient_engine
    )
    explain = providers.Singleton(
        Explain, histories, providers.Singleton(access_policy, settings), clock
    )
    apply_retention = providers.Singleton(
        ApplyRetention, retention, providers.Singleton(kept_for, settings)
    )
    provider_records: providers.Provider[ProviderRecords] = providers.Singleton(
        StripeRecords, stripe_api, prices
    )
    reconcile = providers.Singleton(
        Reconcile,
        unit_of_work.provider,
        provider_records,
        purchases,
        learn_prices,
        intake,
        clock,
        lookback=providers.Singleton(lookback, settings),
    )
    own_webhooks = providers.Singleton(
        OwnWebhooks,
        users_unit_of_work.provider,
        purchases,
        intake,
        settlements,
        clock,
        livemode=settings.provided.livemode,
    )
    close_abandoned = providers.Singleton(
        CloseAbandoned, unit_of_work.provider, purchases, clock, own_webhooks
    )
    housekeeping = providers.Singleton(
        Housekeeping,
        schedule,
        providers.Singleton(jobs, settings, apply_retention, close_abandoned, reconcile),
        metrics,
    )
    worker: providers.Provider[Worker] = providers.Singleton(
        Worker,
        process_inbox,
        relay_outbox,
        lookups,
        partitions,
        wakeups,
        event_publisher,
        metrics,
    )
    viewer = providers.Singleton(Viewer, prices, providers.Singleton(access_policy, settings))
    origins = providers.Singleton(RedirectOrigins, settings.provided.allowed_redirect_origins)
    offers = providers.Singleton(Offers, prices, learn_prices)
    ensure_customer = providers.Singleton(
        EnsureCustomer, users_unit_of_work.provider, purchases, livemode=settings.provided.livemode
    )
    purchasing = providers.Singleton(
        Purchasing,
        users_unit_of_work.provider,
        purchases,
        ensure_customer,
        offers,
        own_webhooks,
        asked_terms,
        clock,
        trial_period_days=settings.provided.trial_period_days,
    )
    owned_subscription = providers.Singleton(
        OwnedSubscription, users_unit_of_work.provider, purchases, billing
    )
    view_subscription = providers.Singleton(
        ViewSubscription, users_unit_of_work.provider, viewer, clock
    )
    use_cases = providers.Singleton(
        UseCases,
        ensure_customer=ensure_customer,
        start_checkout=providers.Singleton(StartCheckout, purchasing, origins, clock),
        open_portal=providers.Singleton(
            OpenPortal,
            users_unit_of_work.provider,
            purchases,
            origins,
            ensure_customer,
            own_webhooks,
        ),
        subscribe=providers.Singleton(Subscribe, purchasing, purchases, clock),
        view_subscription=view_subscription,
        change_plan=providers.Singleton(
            ChangePlan,
            owned_subscription,
            billing,
            offers,
            viewer,
            clock,
            shown_previews,
            claims,
            own_webhooks,
        ),
        cancel_subscription=providers.Singleton(
            CancelSubscription,
            owned_subscription,
            billing,
            purchases,
            viewer,
            clock,
            claims,
            own_webhooks,
        ),
        list_invoices=providers.Singleton(ListInvoices, users_unit_of_work.provider, billing),
        sync_checkout=providers.Singleton(SyncCheckout, purchases, own_webhooks, view_subscription),
    )
    sync_catalog = providers.Singleton(SyncCatalog, catalog, prices)
    users = providers.Singleton(
        user_api,
        use_cases,
        authenticator,
        providers.Singleton(RateLimit, settings.provided.rate_limit_per_minute),
        idempotency_keys,
        clock,
    )
    app = providers.Singleton(
        create_app,
        receive_webhook,
        prices,
        providers.Singleton(public_settings, settings),
        providers.List(database_health),
        providers.List(users),
        page=metrics_page,
        metrics=metrics,
    )
    operations_app = providers.Singleton(
        create_operations_app, providers.List(database_health), metrics_page
    )


def migrate(settings: Settings, *, grant_to: str | None = None) -> None:
    """Bring the database's schema up to this release, and let a role work with it.

    Raises StorageUnavailable.
    """
    # Alembic is needed here alone, and would make every other start a tenth slower.
    from adapters.postgres.migrate import upgrade  # noqa: PLC0415

    logs.configure(settings.log_format, settings.log_level)
    upgrade(settings.database_url)
    if grant_to is not None:
        privileges.grant_to(settings.database_url, grant_to)


def sync_catalog(settings: Settings) -> None:
    """Have Stripe sell what the settings say; print a line for each offer.

    Raises SystemExit where Stripe does not answer, refuses, or is just told otherwise.
    """
    logs.configure(settings.log_format, settings.log_level)
    server.run(_sync_catalog(Container(settings=settings)))


async def _sync_catalog(container: Container) -> None:
    try:
        for found in await container.sync_catalog()():
            sys.stdout.write(f"{found.offer.lookup_key} {found.price_ref} {found.outcome}\n")
    except (ProviderUnavailable, ProviderRefused, OperationConflict) as error:
        raise SystemExit(f"payments catalog sync: {error}") from None
    finally:
        await container.stripe_api().close()


def ask_endpoints(
    settings: Settings, question: Callable[[WebhookEndpoints], Awaitable[Answer]]
) -> Answer:
    """Ask Stripe something of our webhook endpoints, or have it change them.

    Raises SystemExit where Stripe does not answer, refuses, or is just told otherwise.
    """
    logs.configure(settings.log_format, settings.log_level)
    container = Container(settings=settings)

    async def ask() -> Answer:
        try:
            return await question(container.webhook_endpoints())
        except (ProviderUnavailable, ProviderRefused, OperationConflict) as error:
            raise SystemExit(f"payments stripe-endpoint: {error}") from None
        finally:
            await container.stripe_api().close()

    return asyncio.run(ask())


def run(
    settings: Settings,
    *,
    listen_on: tuple[str, int] | None,
    worker: bool,
    operations_on: tuple[str, int] | None = None,
) -> None:
    """Run the API (where `listen_on` names a host and a port), the worker, or both in one
    process, until SIGTERM or SIGINT. `operations_on` is where a worker shows its health and
    its metrics.

    Raises SystemExit where the address cannot be had.
    """
    container = Container(settings=settings)
    logs.configure(
        settings.log_format,
        settings.log_level,
        count_error=container.metrics().error_logged,
    )

    async def until_signal() -> None:
        stop = server.stop_on_signal()
        await run_container(
            container,
            listen_on,
            worker=worker,
            stop=stop,
            operations_on=operations_on,
        )

    try:
        server.run(until_signal())
    except server.CannotListen as error:
        raise SystemExit(f"payments: {error}") from None


def ask_inbox(
    settings: Settings, question: Callable[[ReplayWebhooks], Awaitable[Answer]]
) -> Answer:
    """Ask the inbox something, or have it replay something. Raises StorageUnavailable."""
    return _ask(settings, lambda container: container.replay_webhooks(), question)


def ask_republish(settings: Settings, question: Callable[[Republish], Awaitable[Answer]]) -> Answer:
    """Have subscriptions summed up. Raises StorageUnavailable."""
    return _ask(settings, lambda container: container.republish(), question)


def ask_retention(
    settings: Settings, question: Callable[[ApplyRetention], Awaitable[Swept]]
) -> Swept:
    """Erase and remove what is old, or count it. Raises StorageUnavailable."""
    return _ask(settings, lambda container: container.apply_retention(), question)


def diagnose(settings: Settings, *, queue: str) -> list[Finding]:
    """Look at everything that these settings lead to; some of them may be missing."""
    logs.configure("auto", "error")
    container = Container(settings=settings)
    present = vars(settings).keys()

    async def look() -> list[Finding]:
        engine = stripe_api = None
        examiners: list[Examiner] = []
        if "database_url" in present:
            engine = container.patient_engine()
            examiners.append(PostgresExaminer(engine))
        if "rabbitmq_url" in present:
            examiners.append(RabbitMQExaminer(settings.rabbitmq_url, queue))
        if present >= set(STRIPE_SETTINGS):
            stripe_api = container.stripe_api()
            examiners.append(StripeExaminer(stripe_api, container.prices()))
        try:
            return await doctor.diagnose(examiners)
        finally:
            if stripe_api is not None:
                await stripe_api.close()
            if engine is not None:
                await engine.dispose()

    return asyncio.run(look())


def ask_explain(
    settings: Settings, question: Callable[[Explain], Awaitable[Explanation | None]]
) -> Explanation | None:
    """Say what happened to a subscription or a user. Raises StorageUnavailable."""
    return _ask(settings, lambda container: container.explain(), question)


def ask_reconcile(
    settings: Settings, question: Callable[[Reconcile], Awaitable[Reconciliation]]
) -> Reconciliation:
    """Compare with the provider. Raises ProviderUnavailable, StorageUnavailable, Overloaded."""
    return _ask(settings, lambda container: container.reconcile(), question, asks_stripe=True)


def _ask(
    settings: Settings,
    asked: Callable[[Container], Asked],
    question: Callable[[Asked], Awaitable[Answer]],
    *,
    asks_stripe: bool = False,
) -> Answer:
    logs.configure(settings.log_format, settings.log_level)
    container = Container(settings=settings)

    async def ask() -> Answer:
        try:
            return await question(asked(container))
        finally:
            if asks_stripe:
                await container.stripe_api().close()
            await container.engine().dispose()
            await container.patient_engine().dispose()

    return asyncio.run(ask())


async def run_container(
    container: Container,
    listen_on: tuple[str, int] | None,
    *,
    worker: bool,
    stop: asyncio.Event,
    operations_on: tuple[str, int] | None = None,
) -> None:
    """Run what was asked for until `stop` is set, finish what is in hand, and let go of all."""
    parts: list[Awaitable[None]] = []
    if listen_on is not None:
        parts.append(server.serve(container.app(), *listen_on, stop))
    if operations_on is not None:
        parts.append(server.serve(container.operations_app(), *operations_on, stop))
    if worker:
        parts.append(_work(container, stop))
    background = [asyncio.create_task(container.learn_prices().run())]
    if worker:
        background.append(asyncio.create_task(container.housekeeping().run()))
    if listen_on is not None:
        background.append(asyncio.create_task(container.settlements().listen()))
    try:
        await _together(parts, stop)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if listen_on is not None:
            await container.authenticator().close()
        await container.intake().close()
        await container.payment_provider().close()
        await container.engine().dispose()
        await container.users_engine().dispose()
        await container.tracing().close()


async def _work(container: Container, stop: asyncio.Event) -> None:
    # A price that is not looked up yet counts as unknown. That is mended later, but consumers
    # would hear of it, so the provider is given a moment to answer.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(container.learn_prices().asked.wait(), _PRICES_MAY_TAKE)
    await container.worker().run(stop)


async def _together(parts: list[Awaitable[None]], stop: asyncio.Event) -> None:
    """Run these side by side; when one ends, for whatever reason, the others are told to."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        task.result()
