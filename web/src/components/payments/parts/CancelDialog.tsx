import { type ReactNode, useId, useState } from "react";

import type { Subscription } from "../../../services/paymentsService";
import { Button } from "./Button";
import css from "./ChangeReview.module.css";
import { usePayments, usePlanText } from "./context";
import { Dialog } from "./Dialog";
import { explain } from "./explain";
import { useOnline, useReportExpiry } from "./failures";
import { type Format, useFormat } from "./format";
import { Notice } from "./Notice";

interface CancelDialogProps {
  subscription: Subscription & { id: string };
  onClose: () => void;
  onCanceled: (subscription: Subscription) => void;
  /** The subscription is not what it was thought to be. */
  onStale: () => void;
}

/** Asks before a subscription is canceled, and says when access ends. */
export function CancelDialog({ subscription, onClose, onCanceled, onStale }: CancelDialogProps) {
  const { service } = usePayments();
  const { date } = useFormat();
  const textOf = usePlanText();
  const online = useOnline();
  const words = useId();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useReportExpiry(error);
  const problem = error === null ? null : explain(error);
  const { name } = textOf(subscription.plan);

  async function cancel() {
    setBusy(true);
    setError(null);
    try {
      onCanceled(
        await service.cancelSubscription(subscription.id, {
          immediately: endsAtOnce(subscription),
        }),
      );
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  }

  return (
    <Dialog title={`Cancel ${name}?`} onClose={onClose} closable={!busy} alert describedBy={words}>
      <div className={css.review}>
        <div id={words} className={css.words}>
          {consequence(subscription, date)}
        </div>
        {problem !== null && (
          <Notice
            tone="danger"
            title={problem.title}
            urgent
            actions={problem.remedy === "reload" && <Button onClick={onStale}>Show it</Button>}
          >
            {problem.advice}
          </Notice>
        )}
        {!online && (
          <Notice tone="warning" title="You’re offline">
            Reconnect to the internet to cancel.
          </Notice>
        )}
        <div className={css.actions}>
          <Button onClick={onClose} disabled={busy}>
            Keep my subscription
          </Button>
          <Button look="danger" busy={busy} disabled={!online} onClick={() => void cancel()}>
            {busy ? "Canceling…" : "Cancel subscription"}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

/**
 * Whether nothing is left that could run until the end of a period: without access there is nothing
 * to keep, and a paused subscription has no period that ends.
 */
function endsAtOnce({ status }: Subscription): boolean {
  return status === "unpaid" || status === "paused";
}

/** When access ends, what is charged until then, and whether it can be taken back. */
function consequence(subscription: Subscription, date: Format["date"]): ReactNode {
  const { status, currentPeriodEnd } = subscription;
  switch (status) {
    case "unpaid":
    case "paused":
      return (
        <>
          <p>
            You have no access at the moment. Your subscription ends at once, and your card will not
            be charged for it again.
          </p>
          <p>This can’t be taken back, but you can subscribe again whenever you like.</p>
        </>
      );
    case "past_due":
      return (
        <>
          <p>
            {accessWhileOwed(subscription, date)} Until it ends, we may try the payment that failed
            again; after that you will not be charged.
          </p>
          <p>{RESUMABLE}</p>
        </>
      );
    default: {
      const trial = status === "trialing";
      const end = trial ? (subscription.trialEndDate ?? currentPeriodEnd) : currentPeriodEnd;
      const charge = trial ? "you will not be charged at all" : "you will not be charged again";
      return (
        <>
          <p>
            {end == null ? (
              `Your access ends with the current billing period, and ${charge}.`
            ) : (
              <>
                You keep full access until <strong>{date(end)}</strong>. It ends on that day, and{" "}
                {charge}.
              </>
            )}
          </p>
          <p>{RESUMABLE}</p>
        </>
      );
    }
  }
}

const RESUMABLE = "Until it has ended you can change your mind and resume it.";

/** Access while a payment is overdue: it ends with the grace, unless the subscription ends first. */
function accessWhileOwed(
  { hasAccess, accessUntil, currentPeriodEnd }: Subscription,
  date: Format["date"],
): ReactNode {
  const period =
    currentPeriodEnd == null ? "with the current billing period" : `on ${date(currentPeriodEnd)}`;
  if (!hasAccess || accessUntil == null) {
    return `Your last payment failed, and your access has ended already. Your subscription ends ${period}.`;
  }
  const first =
    currentPeriodEnd != null && Date.parse(currentPeriodEnd) < Date.parse(accessUntil)
      ? currentPeriodEnd
      : accessUntil;
  return (
    <>
      Your last payment failed: you keep access until <strong>{date(first)}</strong>, unless it is
      paid. Your subscription ends {period}.
    </>
  );
}
