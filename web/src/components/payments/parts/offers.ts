import type { Config, Plan, Price, Subscription } from "../../../services/paymentsService";

/** A price that is for sale, and the plan it belongs to. */
export interface Offer {
  plan: string;
  priceId: string;
  interval: string;
  amount: number;
  currency: string;
}

/** What was bought or changed to, and the server is yet to know. */
export interface Unsettled {
  offer: Offer;
  /** Whether Stripe has said that it took it; if not, nobody knows whether it has. */
  accepted: boolean;
}

/** Everything that is for sale. */
export function offersOf(config: Config): Offer[] {
  return config.plans.flatMap(({ plan, prices }) =>
    prices.flatMap((price) => (price.priceId === null ? [] : [offer(plan, price, price.priceId)])),
  );
}

function offer(plan: string, price: Price, priceId: string): Offer {
  const { interval, amount, currency } = price;
  return { plan, priceId, interval, amount, currency };
}

/** What a year costs less than twelve months, as an amount and a share; null where it does not. */
export function savingOf(plan: Plan): { amount: number; share: number; currency: string } | null {
  const month = plan.prices.find((price) => price.interval === "month");
  const year = plan.prices.find((price) => price.interval === "year");
  if (month === undefined || month.currency !== year?.currency) {
    return null;
  }
  const amount = 12 * month.amount - year.amount;
  return amount > 0
    ? { amount, share: amount / (12 * month.amount), currency: year.currency }
    : null;
}

/** Whether there is a subscription that can be changed, rather than a new one to be bought. */
export function isRunning(subscription: Subscription): boolean {
  return ["trialing", "active", "past_due", "unpaid", "paused"].includes(subscription.status);
}

/** Whether there is nothing, or nothing any more, or only a purchase that was not finished. */
export function canBuy(subscription: Subscription): boolean {
  return ["none", "incomplete", "expired", "canceled"].includes(subscription.status);
}

/** Whether the server knows of an offer that was bought or changed to. */
export function hasArrived(offer: Offer): (subscription: Subscription) => boolean {
  return (seen) => seen.priceId === offer.priceId && !canBuy(seen) && seen.hasAccess;
}
