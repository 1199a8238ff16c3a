import { useState } from "react";

import { ProblemError } from "../../../services/errors";
import type { Subscription } from "../../../services/paymentsService";
import { Button } from "./Button";
import css from "./ChangeReview.module.css";
import { usePayments, usePlanText } from "./context";
import { Dialog } from "./Dialog";
import { explain } from "./explain";
import { useOnline, useReportExpiry } from "./failures";
import { useFormat } from "./format";
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
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useReportExpiry(error);
  const problem = error === null ? null : explain(error);
  const { name } = textOf(subscription.plan);
  const trial = subscription.status === "trialing";
  const end = trial ? subscription.trialEndDate : subscription.currentPeriodEnd;

  async function cancel() {
    setBusy(true);
    setError(null);
    try {
      onCanceled(await service.cancelSubscription(subscription.id));
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  }

  return (
    <Dialog title={`Cancel ${name}?`} onClose={onClose} closable={!busy} alert>
      <div className={css.review}>
        <p>
          {end == null ? (
            "Your access ends with the current billing period."
          ) : (
            <>
              You keep full access until <strong>{date(end)}</strong>. It ends on that day, and{" "}
              {trial ? "you will not be charged at all." : "you will not be charged again."}
            </>
          )}
        </p>
        <p>Until then you can change your mind and resume at any time.</p>
        {problem !== null && (
          <Notice
            tone="danger"
            title={problem.title}
            urgent
            actions={
              error instanceof ProblemError &&
              problem.remedy === "reload" && <Button onClick={onStale}>Show it</Button>
            }
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
