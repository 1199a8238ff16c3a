import { useCallback, useState } from "react";

import type { Config, Subscription } from "../../services/paymentsService";
import { Button } from "./parts/Button";
import { ChangeReview } from "./parts/ChangeReview";
import { usePayments, usePlanText } from "./parts/context";
import { Dialog } from "./parts/Dialog";
import { explain, type Explanation } from "./parts/explain";
import { LoadFailure, OfflineNotice, useReportExpiry } from "./parts/failures";
import { useFormat } from "./parts/format";
import { Notice } from "./parts/Notice";
import {
  canBuy,
  hasArrived,
  isRunning,
  type Offer,
  offersOf,
  type Unsettled,
} from "./parts/offers";
import { useLeaving, useOpenPortal, withoutQuery, withQuery } from "./parts/openPortal";
import { PlanChooser } from "./parts/PlanChooser";
import { useConfig, useConfirmed, useSubscription } from "./parts/resources";
import { useSettle } from "./parts/settle";
import { Skeleton } from "./parts/Skeleton";
import { perInterval, Terms } from "./parts/Terms";
import { PaymentMethodForm } from "./PaymentMethodForm";
import css from "./SubscriptionUpgradeModal.module.css";

export interface SubscriptionUpgradeModalProps {
  open: boolean;
  /** It is to be closed; with what is still to be waited for. */
  onClose: (unsettled: Unsettled | null) => void;
  /** The server has confirmed a purchase or a change. */
  onChanged?: ((subscription: Subscription) => void) | undefined;
  /** Where Stripe sends the buyer back to; this page, without its query, if not given. */
  returnUrl?: string | undefined;
}

/** Chooses a plan; then takes a card for a new subscription, or shows what a change comes to. */
export function SubscriptionUpgradeModal({ open, ...rest }: SubscriptionUpgradeModalProps) {
  // What was chosen the last time does not linger.
  return open ? <OpenModal {...rest} /> : null;
}

type Step =
  | { name: "choose" }
  | { name: "pay"; offer: Offer }
  | { name: "review"; offer: Offer; subscription: Subscription & { id: string } }
  | ({ name: "settling" | "late" } & Unsettled)
  | ({ name: "unknown"; error: unknown } & Unsettled)
  | { name: "done"; subscription: Subscription };

const TITLES: Record<Step["name"], string> = {
  choose: "Choose your plan",
  pay: "Payment details",
  review: "Review your change",
  settling: "Confirming…",
  late: "Almost there",
  unknown: "Almost there",
  done: "You’re all set",
};

function OpenModal({ onClose, onChanged, returnUrl }: Omit<SubscriptionUpgradeModalProps, "open">) {
  const config = useConfig();
  const subscription = useSubscription();
  const confirmed = useConfirmed();
  const settle = useSettle();
  const [step, setStep] = useState<Step>({ name: "choose" });
  const [busy, setBusy] = useState(false);
  const choose = useCallback(() => setStep({ name: "choose" }), []);

  const unsettled = "accepted" in step ? { offer: step.offer, accepted: step.accepted } : null;
  const close = () => onClose(unsettled);
  useReportExpiry(step.name === "unknown" ? step.error : null);

  /** Waits until the server knows of the offer that was bought or changed to. */
  async function arrive({ offer, accepted }: Unsettled) {
    setStep({ name: "settling", offer, accepted });
    try {
      const arrived = await settle(hasArrived(offer));
      if (arrived === null) {
        setStep({ name: "late", offer, accepted });
        return;
      }
      await confirmed(arrived);
      setStep({ name: "done", subscription: arrived });
      onChanged?.(arrived);
    } catch (error) {
      setStep({ name: "unknown", offer, accepted, error });
    }
  }

  function body() {
    switch (step.name) {
      case "settling":
        return <Waiting accepted={step.accepted} />;
      case "late":
        return step.accepted ? (
          <Notice
            tone="info"
            title="This is taking longer than usual"
            actions={<Button onClick={() => void arrive(step)}>Check again</Button>}
          >
            Stripe has accepted it, and the confirmation is on its way to us. You can close this
            window: nothing is lost, and there is nothing you need to do again.
          </Notice>
        ) : (
          <Notice
            tone="warning"
            title="We don’t know whether that worked"
            actions={
              <>
                <Button onClick={() => void arrive(step)}>Check again</Button>
                <Button
                  onClick={() => {
                    subscription.reload();
                    choose();
                  }}
                >
                  Back to the plans
                </Button>
              </>
            }
          >
            Stripe has not said what became of it, and nothing has arrived here yet. Check again in
            a minute, or go back and repeat it: you will not be charged twice.
          </Notice>
        );
      case "unknown":
        return (
          <Notice
            tone="warning"
            title="We lost the connection while confirming"
            actions={<Button onClick={() => void arrive(step)}>Check again</Button>}
          >
            {explain(step.error).advice}{" "}
            {step.accepted
              ? "Stripe has accepted it, so there is nothing you need to enter again."
              : "Look first: Stripe has not said what became of it."}
          </Notice>
        );
      case "done":
        return <Done subscription={step.subscription} onClose={close} />;
    }
    const missing =
      config.data === undefined ? config : subscription.data === undefined ? subscription : null;
    if (missing?.error !== undefined) {
      return (
        <LoadFailure
          error={missing.error}
          onRetry={() => {
            config.reload();
            subscription.reload();
          }}
        />
      );
    }
    if (config.data === undefined || subscription.data === undefined) {
      return <Skeleton label="Loading the plans" lines={["short", "tall", "tall", "tall"]} />;
    }
    const trialDays = subscription.data.trialAvailable ? config.data.trialPeriodDays : 0;
    switch (step.name) {
      case "choose":
        return (
          <Choose
            config={config.data}
            subscription={subscription.data}
            trialDays={trialDays}
            returnUrl={returnUrl}
            onClose={close}
            onChosen={(offer, running) =>
              setStep(
                running === null
                  ? { name: "pay", offer }
                  : { name: "review", offer, subscription: running },
              )
            }
          />
        );
      case "pay":
        return (
          <Pay
            offer={step.offer}
            trialDays={trialDays}
            returnUrl={returnUrl}
            busy={busy}
            onBusy={setBusy}
            onBack={choose}
            onTermsChanged={subscription.reload}
            onConfirmed={() => void arrive({ offer: step.offer, accepted: true })}
            onUndecided={() => void arrive({ offer: step.offer, accepted: false })}
          />
        );
      case "review":
        return (
          <ChangeReview
            subscription={step.subscription}
            offer={step.offer}
            returnUrl={returnUrl}
            onBusy={setBusy}
            onBack={choose}
            onChanged={() => void arrive({ offer: step.offer, accepted: true })}
            onUndecided={() => void arrive({ offer: step.offer, accepted: false })}
            onStale={() => {
              subscription.reload();
              close();
            }}
          />
        );
    }
  }

  return (
    <Dialog
      title={"accepted" in step && !step.accepted ? "Not confirmed yet" : TITLES[step.name]}
      onClose={close}
      closable={!busy}
      wide={step.name === "choose"}
    >
      {body()}
    </Dialog>
  );
}

interface ChooseProps {
  config: Config;
  subscription: Subscription;
  trialDays: number;
  returnUrl: string | undefined;
  onClose: () => void;
  onChosen: (offer: Offer, running: (Subscription & { id: string }) | null) => void;
}

function Choose({ config, subscription, trialDays, returnUrl, onClose, onChosen }: ChooseProps) {
  const portal = useOpenPortal(returnUrl);
  const offers = offersOf(config);
  const buying = canBuy(subscription);
  const current = buying ? null : (subscription.priceId ?? null);
  const [chosen, setChosen] = useState<Offer | null>(
    () => offers.find((offer) => offer.priceId === current) ?? offers[0] ?? null,
  );

  if (offers.length === 0) {
    return (
      <Notice tone="info" title="There is nothing to choose from yet">
        The plans are being set up. Please come back in a few minutes.
      </Notice>
    );
  }
  if (!buying && subscription.cancelAt != null) {
    return (
      <Notice tone="info" title="Your subscription is set to end">
        Resume it first; then you can change its plan.
      </Notice>
    );
  }
  if (!buying && subscription.status === "paused") {
    return (
      <Notice tone="warning" title="Your subscription is paused">
        Its plan can’t be changed. Cancel it first; then you can choose a plan again.
      </Notice>
    );
  }
  if (!buying && !isRunning(subscription)) {
    return (
      <Notice tone="info" title="The plan can’t be changed at the moment">
        Come back a little later, or contact support.
      </Notice>
    );
  }
  if (!buying && subscription.status !== "trialing" && subscription.status !== "active") {
    return (
      <Notice
        tone="warning"
        title="A payment is still open"
        actions={
          <Button busy={portal.busy} onClick={portal.open}>
            Settle it now
          </Button>
        }
      >
        Once it is settled you can change your plan.
        {portal.problem !== null && ` ${portal.problem.title}. ${portal.problem.advice}`}
      </Notice>
    );
  }
  const unchanged = chosen?.priceId === current;
  return (
    <div className={css.step}>
      <OfflineNotice />
      <PlanChooser config={config} chosen={chosen} currentPriceId={current} onChoose={setChosen} />
      {chosen !== null && buying && (
        <p className={css.terms}>
          <Terms offer={chosen} trialDays={trialDays} />
        </p>
      )}
      {unchanged && (
        <p className={css.terms} role="status">
          This is the plan you have. Choose another one to change.
        </p>
      )}
      <div className={css.actions}>
        <Button onClick={onClose}>Not now</Button>
        <Button
          look="primary"
          disabled={chosen === null || unchanged}
          onClick={() => {
            const { id } = subscription;
            if (chosen !== null) {
              onChosen(chosen, buying || id == null ? null : { ...subscription, id });
            }
          }}
        >
          {buying ? "Continue to payment" : "Review change"}
        </Button>
      </div>
    </div>
  );
}

interface PayProps {
  offer: Offer;
  trialDays: number;
  returnUrl: string | undefined;
  busy: boolean;
  onBusy: (busy: boolean) => void;
  onBack: () => void;
  onTermsChanged: () => void;
  onConfirmed: () => void;
  onUndecided: () => void;
}

function Pay({
  offer,
  trialDays,
  returnUrl,
  busy,
  onBusy,
  onBack,
  onTermsChanged,
  onConfirmed,
  onUndecided,
}: PayProps) {
  const { service, navigate } = usePayments();
  const { price, money } = useFormat();
  const textOf = usePlanText();
  const [leaving, setLeaving] = useLeaving();
  const [error, setError] = useState<unknown>(null);
  useReportExpiry(error);
  const problem: Explanation | null = error === null ? null : explain(error);

  async function checkout() {
    setLeaving(true);
    setError(null);
    try {
      const back = returnUrl ?? withoutQuery(location.href);
      const { sessionUrl } = await service.startCheckout(
        offer.priceId,
        withQuery(back, "session_id={CHECKOUT_SESSION_ID}"),
        withQuery(back, "checkout=canceled"),
      );
      navigate(sessionUrl);
    } catch (caught) {
      setError(caught);
      setLeaving(false);
    }
  }

  return (
    <div className={css.step}>
      <div className={css.summary}>
        <span className={css.name}>
          {textOf(offer.plan).name}, {price(offer.amount, offer.currency)}{" "}
          {perInterval(offer.interval)}
        </span>
        <span className={css.due}>
          Due today: <strong>{money(trialDays > 0 ? 0 : offer.amount, offer.currency)}</strong>
        </span>
      </div>
      <PaymentMethodForm
        offer={offer}
        trialDays={trialDays}
        returnUrl={returnUrl}
        disabled={leaving}
        onBusy={onBusy}
        onTermsChanged={onTermsChanged}
        onConfirmed={onConfirmed}
        onUndecided={onUndecided}
      />
      {problem !== null && (
        <Notice tone="danger" title={problem.title} urgent>
          {problem.advice}
        </Notice>
      )}
      <p className={css.elsewhere}>
        <Button look="link" disabled={busy || leaving} onClick={onBack}>
          Back to the plans
        </Button>
        {" · "}
        <Button look="link" busy={leaving} disabled={busy} onClick={() => void checkout()}>
          Pay on Stripe’s page instead
        </Button>
      </p>
    </div>
  );
}

function Waiting({ accepted }: { accepted: boolean }) {
  return (
    <div className={css.wait} role="status">
      <div className={css.ring} aria-hidden="true" />
      <p>
        {accepted
          ? "Stripe has accepted it. We’re waiting for the confirmation, usually for a few seconds."
          : "The connection to Stripe was interrupted. We’re finding out whether it worked."}
      </p>
    </div>
  );
}

function Done({ subscription, onClose }: { subscription: Subscription; onClose: () => void }) {
  const { date } = useFormat();
  const textOf = usePlanText();
  const { name } = textOf(subscription.plan);
  const trial = subscription.status === "trialing" && subscription.trialEndDate != null;
  return (
    <div className={css.wait} role="status">
      <svg className={css.check} viewBox="0 0 48 48" fill="none" aria-hidden="true">
        <circle cx="24" cy="24" r="22" fill="currentColor" opacity="0.14" />
        <path
          d="m15 25 6 6 12-13"
          stroke="currentColor"
          strokeWidth="3.500"
          strokeLinecap="round"
          strokeLinejoin="round"
        />
      </svg>
      <p>
        {trial
          ? `Your free trial of ${name} runs until ${date(subscription.trialEndDate ?? "")}.`
          : `You’re on ${name} now. Thank you!`}
      </p>
      <Button look="primary" onClick={onClose}>
        Done
      </Button>
    </div>
  );
}
