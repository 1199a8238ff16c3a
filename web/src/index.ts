export { InvoiceHistory, type InvoiceHistoryProps } from "./components/payments/InvoiceHistory";
export type { PlanText } from "./components/payments/parts/context";
export type { Offer, Unsettled } from "./components/payments/parts/offers";
export { type Returned, returnedFrom } from "./components/payments/parts/returned";
export { loadStripe, loadStripeFrom } from "./components/payments/parts/stripeLoader";
export {
  PaymentMethodForm,
  type PaymentMethodFormProps,
} from "./components/payments/PaymentMethodForm";
export { StripeProvider, type StripeProviderProps } from "./components/payments/StripeProvider";
export {
  SubscriptionManagement,
  type SubscriptionManagementProps,
} from "./components/payments/SubscriptionManagement";
export {
  SubscriptionUpgradeModal,
  type SubscriptionUpgradeModalProps,
} from "./components/payments/SubscriptionUpgradeModal";
export * from "./services/errors";
export * from "./services/paymentsService";
