import { Elements, PaymentElement, useElements, useStripe } from "@stripe/react-stripe-js";
import type { Appearance, Stripe, StripeElementLocale } from "@stripe/stripe-js";
import { useEffect, useMemo, useRef, useState, type SyntheticEvent } from "react";
import useSWR from "swr";

import type { SubscriptionBegun } from "../../services/paymentsService";
import { Button } from "./parts/Button";
import { type ColorScheme, usePayments } from "./parts/context";
import { explain, type Explanation, explainStripe, isUndecided } from "./parts/explain";
import { LoadFailure, useOnline, useReportExpiry } from "./parts/failures";
import { useFormat } from "./parts/format";
import { Notice } from "./parts/Notice";
import type { Offer } from "./parts/offers";
import { withoutQuery } from "./parts/openPortal";
import { useConfig } from "./parts/resources";
import { Skeleton } from "./parts/Skeleton";
import { Terms } from "./parts/Terms";
import { Themed } from "./parts/Themed";
import css from "./PaymentMethodForm.module.css";

export interface PaymentMethodFormProps {
  /** What is bought. */
  offer: Offer;
  /** The length of the free trial; 0 where there is none and the first payment is due today. */
  trialDays: number;
  /**
   * Where a bank that wants a page of its own sends the buyer back to; this page, without its query,
   * if not given.
   */
  returnUrl?: string | undefined;
  /** Stripe has taken the card. The subscription counts once the server knows: wait for that. */
  onConfirmed: (begun: SubscriptionBegun) => void;
  /** Stripe has not said whether it has: only the server can tell, so wait for that, too. */
  onUndecided: (begun: SubscriptionBegun) => void;
  /** Nothing is to be confirmed at the moment. */
  disabled?: boolean;
  /** The trial that was shown is no longer to be had. */
  onTermsChanged?: () => void;
  /** Something is under way that should not be walked away from. */
  onBusy?: (busy: boolean) => void;
}

/**
 * Takes a card with Stripe's Payment Element and begins the subscription.
 *
 * The card goes from Stripe's frame to Stripe. The subscription is begun only when the buyer
 * confirms: to look at the form costs nothing and leaves nothing behind.
 */
export function PaymentMethodForm(props: PaymentMethodFormProps) {
  const { loadStripe, locale, colorScheme } = usePayments();
  const config = useConfig();
  const key = config.data?.publishableKey;
  const stripe = useSWR<Stripe, unknown>(
    key === undefined ? null : ["stripe.js", key],
    () => loadStripe(key ?? ""),
    { revalidateOnFocus: false, revalidateOnReconnect: false },
  );
  const options = useMemo(
    () => ({
      // Within the trial nothing is due, and the card is only set up.
      ...(props.trialDays > 0
        ? { mode: "setup" as const }
        : { mode: "subscription" as const, amount: props.offer.amount }),
      currency: props.offer.currency,
      appearance: appearanceOf(colorScheme),
      locale: elementLocale(locale),
    }),
    [props.trialDays, props.offer.amount, props.offer.currency, colorScheme, locale],
  );

  if (config.error !== undefined && config.data === undefined) {
    return (
      <Themed>
        <LoadFailure error={config.error} onRetry={config.reload} />
      </Themed>
    );
  }
  if (stripe.error !== undefined) {
    return (
      <Themed>
        <Notice
          tone="danger"
          title="The payment form could not be loaded"
          urgent
          actions={<Button onClick={() => void stripe.mutate()}>Try again</Button>}
        >
          Check your connection, and whether an ad blocker keeps js.stripe.com away. You have not
          been charged.
        </Notice>
      </Themed>
    );
  }
  if (stripe.data === undefined) {
    return (
      <Themed>
        <Skeleton label="Loading the payment form" lines={["tall", "tall", "tall"]} />
      </Themed>
    );
  }
  return (
    <Elements stripe={stripe.data} options={options}>
      <Form {...props} />
    </Elements>
  );
}

function Form({
  offer,
  trialDays,
  returnUrl,
  disabled = false,
  onConfirmed,
  onUndecided,
  onTermsChanged,
  onBusy,
}: PaymentMethodFormProps) {
  const { service } = usePayments();
  const stripe = useStripe();
  const elements = useElements();
  const online = useOnline();
  const [ready, setReady] = useState(false);
  const [failed, setFailed] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Explanation | null>(null);
  const [error, setError] = useState<unknown>(null);
  // A second click may come before React has drawn the busy button.
  const running = useRef(false);
  useReportExpiry(error);
  useEffect(() => {
    onBusy?.(busy);
    // Once this form is gone, nothing of it is under way.
    return () => onBusy?.(false);
  }, [busy, onBusy]);

  const trial = trialDays > 0;

  async function pay(): Promise<Explanation | null> {
    if (stripe === null || elements === null) {
      return null;
    }
    const filled = await elements.submit();
    if (filled.error !== undefined) {
      return explainStripe({ ...filled.error, type: "validation_error" });
    }
    const begun = await service.createSubscription(offer.priceId);
    if (begun.clientSecret === null) {
      onConfirmed(begun);
      return null;
    }
    if ((begun.intentType === "setup") !== trial) {
      onTermsChanged?.();
      return TERMS_CHANGED;
    }
    const confirmation = {
      elements,
      clientSecret: begun.clientSecret,
      confirmParams: { return_url: returnUrl ?? withoutQuery(location.href) },
      redirect: "if_required" as const,
    };
    const confirmed = trial
      ? await stripe.confirmSetup(confirmation)
      : await stripe.confirmPayment(confirmation);
    if (confirmed.error === undefined) {
      onConfirmed(begun);
    } else if (isUndecided(confirmed.error)) {
      onUndecided(begun);
    } else {
      return explainStripe(confirmed.error);
    }
    return null;
  }

  async function submit(event: SyntheticEvent) {
    event.preventDefault();
    if (running.current || !ready || !online || disabled) {
      return;
    }
    running.current = true;
    setBusy(true);
    setProblem(null);
    setError(null);
    try {
      setProblem(await pay());
    } catch (caught) {
      setError(caught);
      setProblem(explain(caught));
    } finally {
      running.current = false;
      setBusy(false);
    }
  }

  return (
    <Themed>
      <form className={css.form} onSubmit={submit} noValidate>
        {problem !== null && (
          <Notice tone="danger" title={problem.title} urgent>
            {problem.advice}
          </Notice>
        )}
        {failed ? (
          <Notice tone="danger" title="The payment form could not be loaded" urgent>
            Load this page again. You have not been charged.
          </Notice>
        ) : (
          <div className={css.element} aria-busy={!ready}>
            {!ready && (
              <div className={css.loading}>
                <Skeleton label="Loading the payment form" lines={["tall", "tall", "tall"]} />
              </div>
            )}
            <PaymentElement
              options={{ layout: "tabs", terms: { card: "never" } }}
              onReady={() => setReady(true)}
              onChange={() => setProblem(null)}
              onLoadError={() => setFailed(true)}
            />
          </div>
        )}
        <p className={css.terms}>
          <Terms offer={offer} trialDays={trialDays} />
        </p>
        <Button
          type="submit"
          look="primary"
          wide
          busy={busy}
          disabled={!ready || failed || !online || disabled}
        >
          {busy ? "One moment…" : trial ? "Start free trial" : <PayLabel offer={offer} />}
        </Button>
        {!online && (
          <Notice tone="warning" title="You’re offline">
            Reconnect to the internet to go on. Your card has not been charged.
          </Notice>
        )}
        <p className={css.secure}>
          <Lock />
          Your card details go to Stripe directly. We never see them.
        </p>
      </form>
    </Themed>
  );
}

const TERMS_CHANGED: Explanation = {
  title: "The terms have changed",
  advice:
    "Whether the free trial applies to you is different from what was shown. Read the terms below again, then confirm. You have not been charged.",
};

function PayLabel({ offer }: { offer: Offer }) {
  const { money } = useFormat();
  return <>Pay {money(offer.amount, offer.currency)} and subscribe</>;
}

function Lock() {
  return (
    <svg width="14" height="14" viewBox="0 0 16 16" aria-hidden="true" fill="none">
      <path
        d="M5 7V5a3 3 0 0 1 6 0v2M4 7h8a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1Z"
        stroke="currentColor"
        strokeWidth="1.500"
      />
    </svg>
  );
}

/** The Payment Element in the colours of the theme; it lives in a frame of Stripe's. */
function appearanceOf(scheme: ColorScheme): Appearance {
  const dark = scheme === "dark";
  return {
    theme: dark ? "night" : "stripe",
    variables: {
      borderRadius: "8px",
      colorBackground: dark ? "#1d212c" : "#ffffff",
      colorDanger: dark ? "#ff8fa8" : "#b3093c",
      colorPrimary: dark ? "#7a73ff" : "#5148e5",
      colorText: dark ? "#eef1f8" : "#1a1f36",
      colorTextSecondary: dark ? "#a7b0c4" : "#545b70",
      fontFamily: "Inter, system-ui, sans-serif",
    },
  };
}

// What Stripe's form speaks (Stripe: Elements, supported locales), without regions.
const LANGUAGES =
  "ar bg cs da de el en es et fi fil fr he hr hu id it ja ko lt lv ms mt nb nl pl pt ro ru sk sl sv th tr vi zh".split(
    " ",
  );

function elementLocale(locale: string): StripeElementLocale {
  const language = new Intl.Locale(locale).language;
  return LANGUAGES.includes(language) ? (language as StripeElementLocale) : "auto";
}
