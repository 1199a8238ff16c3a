import type { Stripe } from "@stripe/stripe-js";
import { createContext, useContext } from "react";

import type { PaymentsService } from "../../../services/paymentsService";

/** What a plan is called and what it offers: words of the application, not of the service. */
export interface PlanText {
  name: string;
  description?: string;
  features?: string[];
}

export type ColorScheme = "light" | "dark";

export interface PaymentsContext {
  service: PaymentsService;
  /** Loads Stripe.js on first use; after a failure, again on the next. */
  loadStripe: (publishableKey: string) => Promise<Stripe>;
  locale: string;
  colorScheme: ColorScheme;
  plans: Record<string, PlanText>;
  /** The present moment, in milliseconds since 1970. */
  now: () => number;
  /** Leaves this page for another one. */
  navigate: (url: string) => void;
}

export const Context = createContext<PaymentsContext | null>(null);

export function usePayments(): PaymentsContext {
  const context = useContext(Context);
  if (context === null) {
    throw new Error("This component has to be inside a <StripeProvider>.");
  }
  return context;
}

const PLANS: Record<string, PlanText> = {
  general: { name: "General" },
  event_organizer: { name: "Event Organizer" },
};

/** The words for a plan, made from its name where the application has none. */
export function usePlanText(): (plan: string | null | undefined) => PlanText {
  const { plans } = usePayments();
  return (plan) => {
    if (plan == null || plan === "unknown") {
      return { name: "Your plan" };
    }
    const words = plan.replaceAll("_", " ");
    return plans[plan] ?? PLANS[plan] ?? { name: words.charAt(0).toUpperCase() + words.slice(1) };
  };
}
