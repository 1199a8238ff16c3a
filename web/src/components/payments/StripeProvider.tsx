import { type ReactNode, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { SWRConfig } from "swr";

import { SessionExpiredError } from "../../services/errors";
import { createPaymentsService, type PaymentsService } from "../../services/paymentsService";
import { type ColorScheme, Context, type PaymentsContext, type PlanText } from "./parts/context";
import { loadStripe, type StripeSource, stripeLoader } from "./parts/stripeLoader";

export interface StripeProviderProps {
  children: ReactNode;
  /** The payments API; the one at the page's own origin if not given. */
  service?: PaymentsService;
  /**
   * Stripe.js: a promise of it, or a function that loads it for a publishable key when the first
   * form is shown. By default it comes from js.stripe.com.
   */
  stripe?: StripeSource;
  /** Whose subscription it is: what was loaded for one user is never shown to another. */
  userId?: string;
  /** BCP 47, such as "de-AT"; the browser's if not given. */
  locale?: string | undefined;
  appearance?: "auto" | ColorScheme;
  /** Names, descriptions and features of the plans, by plan. */
  plans?: Record<string, PlanText>;
  /** The service no longer knows who is asking. */
  onSessionExpired?: () => void;
  /** The present moment in milliseconds; `Date.now` if not given. A sandbox has its own time. */
  now?: () => number;
  /** How to leave the page for Stripe's; `location.assign` if not given. */
  navigate?: (url: string) => void;
}

const NO_PLANS: Record<string, PlanText> = {};

/** What the payment components share. Everything else in this folder has to be inside one. */
export function StripeProvider({
  children,
  service,
  stripe = loadStripe,
  userId = "",
  locale = navigator.language,
  appearance = "auto",
  plans = NO_PLANS,
  onSessionExpired,
  now = Date.now,
  navigate = assign,
}: StripeProviderProps) {
  const preferred = usePreferredScheme();
  const colorScheme = appearance === "auto" ? preferred : appearance;
  // It keeps the keys of what is undecided, so that it has to outlast every other property.
  const payments = useMemo(() => service ?? createPaymentsService(), [service]);
  const context = useMemo<PaymentsContext>(
    () => ({
      service: payments,
      loadStripe: stripeLoader(stripe),
      locale,
      colorScheme,
      plans,
      now,
      navigate,
    }),
    [payments, stripe, locale, colorScheme, plans, now, navigate],
  );
  const expired = useRef(onSessionExpired);
  useEffect(() => {
    expired.current = onSessionExpired;
  });
  const cache = useMemo(
    () => ({
      provider: () => new Map(),
      // The service tries again by itself where that makes sense.
      shouldRetryOnError: false,
      onError: (error: unknown) => {
        if (error instanceof SessionExpiredError) {
          expired.current?.();
        }
      },
    }),
    [],
  );
  return (
    <Context value={context}>
      <SWRConfig key={userId} value={cache}>
        {children}
      </SWRConfig>
    </Context>
  );
}

function assign(url: string) {
  location.assign(url);
}

const DARK = "(prefers-color-scheme: dark)";

function usePreferredScheme(): ColorScheme {
  return useSyncExternalStore(
    (changed) => {
      const query = matchMedia(DARK);
      query.addEventListener("change", changed);
      return () => query.removeEventListener("change", changed);
    },
    () => (matchMedia(DARK).matches ? "dark" : "light"),
  );
}
