import type { Subscription } from "../../../services/paymentsService";

export interface StatusText {
  label: string;
  tone: "success" | "info" | "warning" | "danger" | "neutral";
}

const TEXTS: Record<string, StatusText> = {
  none: { label: "No subscription", tone: "neutral" },
  incomplete: { label: "Not finished", tone: "warning" },
  trialing: { label: "Free trial", tone: "info" },
  active: { label: "Active", tone: "success" },
  past_due: { label: "Payment overdue", tone: "danger" },
  unpaid: { label: "Unpaid", tone: "danger" },
  paused: { label: "Paused", tone: "warning" },
  expired: { label: "Not completed", tone: "neutral" },
  canceled: { label: "Ended", tone: "neutral" },
};

/** A subscription's state in a word or two. One that nobody knows yet is shown as it is. */
export function statusOf(subscription: Subscription): StatusText {
  const { status } = subscription;
  if (subscription.cancelAt != null && (status === "trialing" || status === "active")) {
    return { label: "Ends soon", tone: "warning" };
  }
  return TEXTS[status] ?? { label: status.replaceAll("_", " "), tone: "neutral" };
}
