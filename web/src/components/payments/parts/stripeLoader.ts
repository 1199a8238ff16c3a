import type { Stripe } from "@stripe/stripe-js";
import { loadStripe as loadFromStripe } from "@stripe/stripe-js/pure";

export type StripeSource =
  PromiseLike<Stripe | null> | ((publishableKey: string) => Promise<Stripe | null>);

/** Stripe.js from Stripe itself, as its terms want it. */
export function loadStripe(publishableKey: string): Promise<Stripe | null> {
  return loadFromStripe(publishableKey);
}

/**
 * Stripe.js from another address: for a stand-in in a sandbox, never for production.
 * The script has to define `window.Stripe`, which Stripe's own loader then takes.
 */
export function loadStripeFrom(
  address: string,
): (publishableKey: string) => Promise<Stripe | null> {
  return async (publishableKey) => {
    await addScript(address);
    return loadFromStripe(publishableKey);
  };
}

/** Loads Stripe.js once; after a failure, again when it is next asked for. */
export function stripeLoader(source: StripeSource): (publishableKey: string) => Promise<Stripe> {
  let loading: Promise<Stripe> | null = null;
  const load = async (publishableKey: string) => {
    const stripe = await (typeof source === "function" ? source(publishableKey) : source);
    if (stripe === null) {
      throw new Error("Stripe.js was not loaded: it needs a browser.");
    }
    return stripe;
  };
  return (publishableKey) => {
    loading ??= load(publishableKey).catch((error: unknown) => {
      loading = null;
      throw error;
    });
    return loading;
  };
}

function addScript(address: string): Promise<void> {
  if ("Stripe" in window) {
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve();
    script.onerror = () => {
      script.remove();
      reject(new Error(`The script at ${address} cannot be loaded.`));
    };
    document.head.append(script);
  });
}
