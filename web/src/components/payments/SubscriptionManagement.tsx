import {
  type FocusEvent,
  type ReactNode,
  type RefObject,
  useEffect,
  useId,
  useRef,
  useState,
} from "react";

import type { Subscription } from "../../services/paymentsService";
import { Badge } from "./parts/Badge";
import { Button } from "./parts/Button";
import { CancelDialog } from "./parts/CancelDialog";
import { usePayments, usePlanText } from "./parts/context";
import { explain } from "./parts/explain";
import {
  LoadFailure,
  OfflineNotice,
  RefreshFailure,
  useOnline,
  useReportExpiry,
} from "./parts/failures";
import { useFormat } from "./parts/format";
import { Notice } from "./parts/Notice";
import { canBuy, isRunning, offersOf, type Unsettled } from "./parts/offers";
import { useOpenPortal } from "./parts/openPortal";
import { useConfig, useConfirmed, useSubscription } from "./parts/resources";
import type { Returned } from "./parts/returned";
import { Skeleton } from "./parts/Skeleton";
import { statusOf } from "./parts/status";
import { perInterval } from "./parts/Terms";
import theme from "./parts/theme.module.css";
import { Themed } from "./parts/Themed";
import { type Return, useReturn } from "./parts/useReturn";
import css from "./SubscriptionManagement.module.css";
import { SubscriptionUpgradeModal } from "./SubscriptionUpgradeModal";

/**
 * What the address says of a buyer who comes back is in it (see `returnedFrom`). It is read once, so
 * that it may be taken out of the address.
 */
export interface SubscriptionManagementProps extends Returned {
  /** Where Stripe's pages come back to; this page, without its query, if not given. */
  returnUrl?: string | undefined;
  /** The server has confirmed something new about the subscription. */
  onChanged?: ((subscription: Subscription) => void) | undefined;
}

type Open = "plans" | "cancel" | null;

/** Shows a subscription, and everything that can be done about it. */
export function SubscriptionManagement({
  returnUrl,
  onChanged,
  ...returned
}: SubscriptionManagementProps) {
  const subscription = useSubscription();
  const confirmed = useConfirmed();
  const { found, again, waitFor, dismiss } = useReturn(returned, onChanged);
  const online = useOnline();
  const [open, setOpen] = useState<Open>(null);
  const [said, setSaid] = useState<string | null>(null);
  const heading = useId();
  const title = useRef<HTMLHeadingElement>(null);
  const held = useHeldFocus(title);
  const { date } = useFormat();
  const shown = found.state === "confirming" ? undefined : subscription.data;
  // Who has paid is not asked to choose a plan, however long it takes to arrive.
  const awaited =
    (found.state === "late" || found.state === "failed") &&
    found.accepted &&
    shown !== undefined &&
    canBuy(shown);

  async function take(news: Subscription, message: string) {
    await confirmed(news);
    setOpen(null);
    setSaid(message);
    onChanged?.(news);
  }

  /** What was said belongs to what was done before. */
  function begin(what: Open) {
    setSaid(null);
    dismiss();
    setOpen(what);
  }

  function closePlans(unsettled: Unsettled | null) {
    setOpen(null);
    subscription.reload();
    if (unsettled !== null) {
      waitFor(unsettled);
    }
  }

  return (
    <Themed
      className={`${theme.card ?? ""} ${css.card ?? ""}`}
      aria-labelledby={heading}
      onFocus={held}
    >
      <div className={css.head}>
        <h2 ref={title} id={heading} className={theme.heading} tabIndex={-1}>
          Subscription
        </h2>
        {shown !== undefined && shown.status !== "none" && <Badge {...statusOf(shown)} />}
      </div>
      <OfflineNotice />
      <ReturnNotice found={found} present={subscription.data} onAgain={again} />
      {/* Always there, so that what is put into it is announced. */}
      <div className={css.said} aria-live="polite">
        {said !== null && <Notice tone="success" title={said} />}
      </div>
      {shown !== undefined && subscription.error !== undefined && online && (
        <RefreshFailure error={subscription.error} onRetry={subscription.reload} />
      )}
      {found.state !== "confirming" &&
        !awaited &&
        (shown !== undefined ? (
          <Present
            subscription={shown}
            returnUrl={returnUrl}
            onBegin={begin}
            onResumed={(news) => void take(news, "Your subscription goes on.")}
            onStale={subscription.reload}
          />
        ) : subscription.error !== undefined ? (
          <LoadFailure error={subscription.error} onRetry={subscription.reload} />
        ) : (
          <div className={css.loading}>
            <Skeleton
              label="Loading your subscription"
              lines={["medium", "tall", "full", "short"]}
            />
          </div>
        ))}
      <SubscriptionUpgradeModal
        open={open === "plans"}
        onClose={closePlans}
        returnUrl={returnUrl}
        onChanged={onChanged}
      />
      {open === "cancel" && shown?.id != null && (
        <CancelDialog
          subscription={{ ...shown, id: shown.id }}
          onClose={() => setOpen(null)}
          onCanceled={(news) =>
            void take(
              news,
              news.cancelAt == null
                ? "Your subscription is canceled."
                : `Your subscription ends on ${date(news.cancelAt)}.`,
            )
          }
          onStale={() => {
            setOpen(null);
            subscription.reload();
          }}
        />
      )}
    </Themed>
  );
}

/**
 * Gives the focus to `fallback` where what had it is gone: a button that led to something else, or
 * the dialog that it opened. Returns what is to hear of the focus.
 */
function useHeldFocus(fallback: RefObject<HTMLElement | null>): (event: FocusEvent) => void {
  const last = useRef<Element>(null);
  // After every change, since any may have taken it away.
  useEffect(() => {
    if (last.current?.isConnected === false && document.activeElement === document.body) {
      last.current = null;
      fallback.current?.focus();
    }
  });
  return (event) => {
    last.current = event.target;
  };
}

function ReturnNotice({
  found,
  present,
  onAgain,
}: {
  found: Return;
  present: Subscription | undefined;
  onAgain: () => void;
}) {
  switch (found.state) {
    case "none":
      return null;
    case "confirming":
      return (
        <>
          <Notice tone="info" title="Confirming your purchase…">
            {found.accepted
              ? "This usually takes a few seconds. You don’t need to do anything."
              : "We’re finding out whether it worked. This usually takes a few seconds."}
          </Notice>
          <Skeleton label="" lines={["medium", "tall"]} />
        </>
      );
    case "confirmed":
      return <Notice tone="success" title="Thank you! Your purchase is confirmed." />;
    case "late":
      return !found.accepted ? (
        <Notice
          tone="warning"
          title="We don’t know whether that worked"
          actions={<Button onClick={onAgain}>Check again</Button>}
        >
          Stripe has not said what became of it, and nothing has arrived here yet. Check again in a
          minute, or repeat it: you will not be charged twice.
        </Notice>
      ) : (
        <Notice
          tone="info"
          title="Your purchase is not confirmed yet"
          actions={<Button onClick={onAgain}>Check again</Button>}
        >
          The confirmation is taking longer than usual. There is nothing you need to do again, and
          you will not be charged twice.
        </Notice>
      );
    case "unfinished":
      return (
        // Whoever has a subscription all the same did finish it, some other way; of one that was begun
        // its own state says as much.
        present !== undefined &&
        canBuy(present) &&
        present.status !== "incomplete" && (
          <Notice tone="warning" title="Your purchase was not finished">
            You have not been charged. You can begin again whenever you like.
          </Notice>
        )
      );
    case "failed":
      return (
        <Notice
          tone="danger"
          title="We could not confirm your purchase yet"
          urgent
          actions={<Button onClick={onAgain}>Check again</Button>}
        >
          {explain(found.error).advice}
        </Notice>
      );
  }
}

interface PresentProps {
  subscription: Subscription;
  returnUrl: string | undefined;
  /** Something is done: in a dialog, or, for null, right here. */
  onBegin: (what: Open) => void;
  onResumed: (subscription: Subscription) => void;
  onStale: () => void;
}

/** The subscription as it is now. */
function Present({ subscription, returnUrl, onBegin, onResumed, onStale }: PresentProps) {
  const portal = useOpenPortal(returnUrl);
  const resume = useResume(subscription, onResumed);
  const online = useOnline();
  const running = isRunning(subscription);
  const { status } = subscription;
  const granting = status === "trialing" || status === "active";
  const ending = subscription.cancelAt != null;
  // What has no access ends at once, even where its end is planned for later.
  const stuck = status === "unpaid" || status === "paused";
  const toPortal = () => {
    onBegin(null);
    portal.open();
  };

  return (
    <>
      <Situation subscription={subscription} />
      {running && <Facts subscription={subscription} />}
      {[portal.problem, resume.problem].map(
        (problem) =>
          problem !== null && (
            <Notice
              key={problem.title}
              tone="danger"
              title={problem.title}
              urgent
              actions={problem.remedy === "reload" && <Button onClick={onStale}>Show it</Button>}
            >
              {problem.advice}
            </Notice>
          ),
      )}
      <div className={css.actions}>
        {canBuy(subscription) && (
          <Button look="primary" onClick={() => onBegin("plans")}>
            {status === "incomplete" ? "Finish payment" : "Choose a plan"}
          </Button>
        )}
        {running && ending && !stuck && (
          <Button
            look={granting ? "primary" : "secondary"}
            busy={resume.busy}
            disabled={!online}
            onClick={() => {
              onBegin(null);
              resume.start();
            }}
          >
            Resume subscription
          </Button>
        )}
        {granting && !ending && (
          <Button look="primary" onClick={() => onBegin("plans")}>
            Change plan
          </Button>
        )}
        {running && status !== "paused" && (
          <Button
            look={granting ? "secondary" : "primary"}
            busy={portal.busy}
            disabled={!online}
            onClick={toPortal}
          >
            Update card
          </Button>
        )}
        {!canBuy(subscription) && (
          <Button disabled={portal.busy || !online} onClick={toPortal}>
            Billing portal
          </Button>
        )}
        {running && (!ending || stuck) && (
          <Apart>
            <Button
              look={status === "paused" ? "secondary" : "quiet"}
              onClick={() => onBegin("cancel")}
            >
              Cancel subscription
            </Button>
          </Apart>
        )}
      </div>
    </>
  );
}

function Apart({ children }: { children: ReactNode }) {
  return <div className={css.apart}>{children}</div>;
}

/** What the state means to the person whose it is. */
function Situation({ subscription }: { subscription: Subscription }) {
  const { date, number } = useFormat();
  const config = useConfig();
  const { status, accessUntil } = subscription;
  const until = accessUntil == null ? null : date(accessUntil);
  const days = config.data?.trialPeriodDays;
  switch (status) {
    case "none":
      return (
        <div className={css.empty}>
          <p className={css.name}>You have no subscription yet</p>
          <p>
            {subscription.trialAvailable && days !== undefined
              ? `Choose a plan and try it free for ${number(days)} days. Cancel before the trial ends and you pay nothing.`
              : "Choose the plan that fits you. You can change or cancel it at any time."}
          </p>
        </div>
      );
    case "incomplete":
      return (
        <Notice tone="warning" title="Your payment was not finished">
          Your subscription begins once your card is confirmed. You have not been charged.
        </Notice>
      );
    case "past_due":
      return (
        <Notice tone="danger" title="Your last payment failed">
          {subscription.hasAccess && until !== null
            ? `You keep access until ${until}. Update your card before then, and we’ll try again.`
            : "Your access has ended for now. Update your card, and it comes back with the payment."}
        </Notice>
      );
    case "unpaid":
      return (
        <Notice tone="danger" title="A payment is still open">
          Your access is suspended. Update your card and pay the open invoice to get it back.
        </Notice>
      );
    case "paused":
      return (
        <Notice tone="warning" title="Your subscription is paused">
          Your trial ended without a card, and your access with it. To go on, cancel this
          subscription, then choose a plan again.
        </Notice>
      );
    case "expired":
      return (
        <Notice tone="info" title="Your purchase was not completed in time">
          You have not been charged. Choose a plan to start again.
        </Notice>
      );
    case "canceled":
      return (
        <Notice tone="info" title="Your subscription has ended">
          {subscription.endDate == null ? "" : `It ended on ${date(subscription.endDate)}. `}
          You can subscribe again whenever you like.
        </Notice>
      );
    case "trialing":
    case "active":
      return subscription.cancelAt == null ? null : (
        <Notice tone="warning" title={`Your subscription ends on ${date(subscription.cancelAt)}`}>
          You keep access until then and will not be charged again. Changed your mind? Resume it,
          and nothing is interrupted.
        </Notice>
      );
    default:
      return (
        <Notice tone="info" title={`State: ${status.replaceAll("_", " ")}`}>
          {subscription.hasAccess
            ? "You have access."
            : "You have no access at the moment. Contact support if you think you should."}
        </Notice>
      );
  }
}

/** Plan, price and dates. */
function Facts({ subscription }: { subscription: Subscription }) {
  const { date, price, money, number } = useFormat();
  const textOf = usePlanText();
  const config = useConfig();
  const { nextCharge, trialEndDate, startDate } = subscription;
  const offer =
    config.data && offersOf(config.data).find((one) => one.priceId === subscription.priceId);
  const trial = subscription.status === "trialing" && trialEndDate != null;
  return (
    <>
      <div className={css.plan}>
        <p className={css.name}>{textOf(subscription.plan).name}</p>
        {offer !== undefined && (
          <p className={css.price}>
            {price(offer.amount, offer.currency)}{" "}
            <span className={css.per}>{perInterval(offer.interval)}</span>
          </p>
        )}
      </div>
      {trial && (
        <div className={css.trial}>
          <p>
            {subscription.trialDaysLeft === 1
              ? "1 day left in your free trial"
              : `${number(subscription.trialDaysLeft)} days left in your free trial`}
          </p>
          {startDate != null && (
            <div className={css.bar} aria-hidden="true">
              <span
                className={css.fill}
                style={{
                  transform: `scaleX(${passed(startDate, trialEndDate, subscription.trialDaysLeft)})`,
                }}
              />
            </div>
          )}
        </div>
      )}
      <dl className={css.facts}>
        {trial && (
          <div className={css.fact}>
            <dt>Trial ends</dt>
            <dd>{date(trialEndDate)}</dd>
          </div>
        )}
        {nextCharge != null && (
          <div className={css.fact}>
            <dt>{trial ? "First charge" : "Next charge"}</dt>
            <dd>
              {nextCharge.amount != null && nextCharge.currency != null
                ? `${money(nextCharge.amount, nextCharge.currency)} on ${date(nextCharge.at)}`
                : date(nextCharge.at)}
            </dd>
          </div>
        )}
        {subscription.cancelAt != null && (
          <div className={css.fact}>
            <dt>
              {subscription.accessUntil === subscription.cancelAt
                ? "Access ends"
                : "Subscription ends"}
            </dt>
            <dd>{date(subscription.cancelAt)}</dd>
          </div>
        )}
        {startDate != null && (
          <div className={css.fact}>
            <dt>Member since</dt>
            <dd>{date(startDate)}</dd>
          </div>
        )}
      </dl>
    </>
  );
}

/** The share of the trial that is over, from 0 to 1, by the server's count of days. */
function passed(start: string, end: string, daysLeft: number): number {
  const days = (Date.parse(end) - Date.parse(start)) / (24 * 60 * 60 * 1000);
  return days > 0 ? Math.min(1, Math.max(0.02, 1 - daysLeft / days)) : 1;
}

function useResume(subscription: Subscription, onResumed: (subscription: Subscription) => void) {
  const { service } = usePayments();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useReportExpiry(error);
  const start = async () => {
    if (subscription.id == null) {
      return;
    }
    setBusy(true);
    setError(null);
    try {
      onResumed(await service.resumeSubscription(subscription.id));
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  return {
    start: () => void start(),
    busy,
    problem: error === null ? null : explain(error),
  };
}
