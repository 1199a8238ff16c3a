import { useState } from "react";
import useSWR from "swr";

import { ProblemError } from "../../../services/errors";
import type { PlanChange, Preview, Subscription } from "../../../services/paymentsService";
import { Button } from "./Button";
import css from "./ChangeReview.module.css";
import { usePayments, usePlanText } from "./context";
import { explain, type Explanation, explainStripe, isDeclined, isUndecided } from "./explain";
import { LoadFailure, useOnline, useReportExpiry } from "./failures";
import { useFormat } from "./format";
import { Notice } from "./Notice";
import type { Offer } from "./offers";
import { useOpenPortal } from "./openPortal";
import { useConfig } from "./resources";
import { Skeleton } from "./Skeleton";
import { perInterval } from "./Terms";

interface ChangeReviewProps {
  subscription: Subscription & { id: string };
  offer: Offer;
  /** Where Stripe's portal comes back to. */
  returnUrl: string | undefined;
  onBack: () => void;
  onBusy: (busy: boolean) => void;
  /** Stripe has made the change; the server is still to hear of it. */
  onChanged: () => void;
  /** Stripe has not said whether it has. */
  onUndecided: () => void;
  /** The subscription is not what it was thought to be. */
  onStale: () => void;
}

/** Shows what a change of plan comes to, and makes it at exactly that. */
export function ChangeReview({
  subscription,
  offer,
  returnUrl,
  onBack,
  onBusy,
  onChanged,
  onUndecided,
  onStale,
}: ChangeReviewProps) {
  const { service, loadStripe } = usePayments();
  const { money, date, price } = useFormat();
  const textOf = usePlanText();
  const config = useConfig();
  const online = useOnline();
  const portal = useOpenPortal(returnUrl);
  // What was worked out when this was last open is not what it comes to now.
  const [opened] = useState(() => crypto.randomUUID());
  const [round, setRound] = useState(0);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [problem, setProblem] = useState<Explanation | null>(null);
  const [openInvoice, setOpenInvoice] = useState<string | null>(null);
  const preview = useSWR<Preview, unknown>(
    ["preview", opened, subscription.id, offer.priceId, round],
    () => service.previewPlanChange(subscription.id, offer.priceId),
    // What was shown is what is confirmed: it must not change under the reader's eyes.
    { revalidateOnFocus: false, revalidateOnReconnect: false, revalidateIfStale: false },
  );
  useReportExpiry(error);

  /** Has the holder of the card asked; says why it is not paid, where that is certain. */
  async function authenticate(change: PlanChange): Promise<Explanation | null> {
    if (change.clientSecret === null || config.data === undefined) {
      return UNPAID;
    }
    const stripe = await loadStripe(config.data.publishableKey);
    const answer = await stripe.handleNextAction({ clientSecret: change.clientSecret });
    if (answer.error === undefined) {
      onChanged();
      return null;
    }
    if (isUndecided(answer.error)) {
      onUndecided();
      return null;
    }
    const told: Explanation = { ...explainStripe(answer.error), remedy: "update-card" };
    return isDeclined(answer.error) ? unchanged(told) : told;
  }

  async function confirm(shown: Preview) {
    setBusy(true);
    onBusy(true);
    setProblem(null);
    setError(null);
    try {
      const change = await service.changePlan(subscription.id, offer.priceId, shown.prorationDate);
      if (!change.pending) {
        onChanged();
        return;
      }
      setOpenInvoice(change.hostedInvoiceUrl);
      setProblem(await authenticate(change));
    } catch (caught) {
      const told = explain(caught);
      setError(caught);
      setProblem(told.remedy === "update-card" ? unchanged(told) : told);
      if (caught instanceof ProblemError && told.remedy === "preview") {
        setRound((before) => before + 1);
      }
    } finally {
      setBusy(false);
      onBusy(false);
    }
  }

  if (preview.error !== undefined) {
    const told = explain(preview.error);
    return (
      <div className={css.review}>
        <LoadFailure
          error={preview.error}
          onRetry={told.remedy === "reload" ? onStale : () => void preview.mutate()}
        />
        <div className={css.actions}>
          <Button onClick={onBack}>Back to the plans</Button>
        </div>
      </div>
    );
  }

  const shown = preview.data;
  const name = textOf(offer.plan).name;
  const every = `${price(offer.amount, offer.currency)} ${perInterval(offer.interval)}`;
  return (
    <div className={css.review}>
      {problem !== null && (
        <Notice
          tone={problem.remedy === "preview" ? "warning" : "danger"}
          title={problem.title}
          urgent
          actions={
            (problem.remedy === "update-card" ||
              openInvoice !== null ||
              problem.remedy === "reload") && (
              <>
                {openInvoice !== null && (
                  <Button onClick={() => portal.leaveFor(openInvoice)}>Pay the open invoice</Button>
                )}
                {problem.remedy === "update-card" && (
                  <Button busy={portal.busy} onClick={portal.open}>
                    Update card
                  </Button>
                )}
                {problem.remedy === "reload" && <Button onClick={onStale}>Show it</Button>}
              </>
            )
          }
        >
          {problem.advice}
        </Notice>
      )}
      {portal.problem !== null && (
        <Notice tone="danger" title={portal.problem.title} urgent>
          {portal.problem.advice}
        </Notice>
      )}
      {shown === undefined ? (
        <Skeleton label="Working out the amount" lines={["full", "full", "medium", "tall"]} />
      ) : (
        <>
          <p>{consequence(shown, subscription, name, every, { money, date })}</p>
          <dl className={css.lines}>
            {shown.lines.map((line, index) => (
              // Two lines may read the same.
              <div key={index} className={css.line}>
                <dt>{line.description}</dt>
                <dd>{money(line.amount, shown.currency)}</dd>
              </div>
            ))}
            <div className={`${css.line ?? ""} ${css.total ?? ""}`}>
              <dt>Due today</dt>
              <dd>{money(shown.amountDueNow, shown.currency)}</dd>
            </div>
          </dl>
        </>
      )}
      {!online && (
        <Notice tone="warning" title="You’re offline">
          Reconnect to the internet to change your plan.
        </Notice>
      )}
      <div className={css.actions}>
        <Button onClick={onBack} disabled={busy}>
          Back
        </Button>
        <Button
          look="primary"
          busy={busy}
          disabled={shown === undefined || !online}
          onClick={() => shown !== undefined && void confirm(shown)}
        >
          {busy
            ? "One moment…"
            : shown !== undefined && shown.amountDueNow > 0
              ? `Pay ${money(shown.amountDueNow, shown.currency)} and change`
              : "Confirm change"}
        </Button>
      </div>
    </div>
  );
}

const unchanged = (told: Explanation): Explanation => ({
  ...told,
  advice: `${told.advice} Your plan has not changed.`,
});

const UNPAID: Explanation = {
  title: "The payment is still open",
  advice: "Your plan changes as soon as the open invoice is paid.",
};

/** What happens when it is confirmed, in one or two sentences. */
function consequence(
  shown: Preview,
  subscription: Subscription,
  name: string,
  every: string,
  { money, date }: Pick<ReturnType<typeof useFormat>, "money" | "date">,
): string {
  if (subscription.status === "trialing" && subscription.trialEndDate != null) {
    return `You switch to ${name} now. Your free trial goes on until ${date(subscription.trialEndDate)}; from then on it costs ${every}.`;
  }
  const sum = shown.lines.reduce((total, line) => total + line.amount, 0);
  if (shown.amountDueNow > 0) {
    return `You switch to ${name} as soon as ${money(shown.amountDueNow, shown.currency)} is paid with your saved card. After that it costs ${every}.`;
  }
  if (sum < 0) {
    return `You switch to ${name} now, and ${money(-sum, shown.currency)} is credited towards your next invoices. After that it costs ${every}.`;
  }
  return `You switch to ${name} now. Nothing is due today; after that it costs ${every}.`;
}
