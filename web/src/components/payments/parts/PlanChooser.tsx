import { useId } from "react";

import type { Config } from "../../../services/paymentsService";
import { usePlanText } from "./context";
import { useFormat } from "./format";
import { type Offer, offersOf, savingOf } from "./offers";
import css from "./PlanChooser.module.css";
import { perInterval } from "./Terms";

interface PlanChooserProps {
  config: Config;
  chosen: Offer | null;
  /** The price that is paid now, if any. */
  currentPriceId: string | null;
  onChoose: (offer: Offer) => void;
}

const INTERVALS: Record<string, string> = { month: "Monthly", year: "Yearly" };

/** The plans that are for sale, by month or by year. */
export function PlanChooser({ config, chosen, currentPriceId, onChoose }: PlanChooserProps) {
  const { price, percent } = useFormat();
  const textOf = usePlanText();
  const group = useId();
  const offers = offersOf(config);
  const intervals = [...new Set(offers.map((offer) => offer.interval))];
  const interval = chosen?.interval ?? intervals[0];
  const best = Math.max(0, ...config.plans.map((plan) => savingOf(plan)?.share ?? 0));

  const chooseInterval = (wanted: string) => {
    const same = offers.find((offer) => offer.plan === chosen?.plan && offer.interval === wanted);
    const offer = same ?? offers.find((other) => other.interval === wanted);
    if (offer !== undefined) {
      onChoose(offer);
    }
  };

  return (
    <div className={css.chooser}>
      {intervals.length > 1 && (
        <fieldset>
          <legend className={css.legend}>Billing period</legend>
          <div className={css.intervals}>
            {intervals.map((one) => (
              <label key={one} className={css.interval}>
                <input
                  className={css.input}
                  type="radio"
                  name={`${group}-interval`}
                  checked={one === interval}
                  onChange={() => chooseInterval(one)}
                />
                {INTERVALS[one] ?? one}
                {one === "year" && best > 0 && (
                  <span className={css.saving}>Save {percent(best)}</span>
                )}
              </label>
            ))}
          </div>
        </fieldset>
      )}
      <fieldset>
        <legend className={css.legend}>Plan</legend>
        <div className={css.plans}>
          {config.plans.map((plan) => {
            const offer = offers.find((one) => one.plan === plan.plan && one.interval === interval);
            if (offer === undefined) {
              return null;
            }
            const text = textOf(plan.plan);
            const saving = interval === "year" ? savingOf(plan) : null;
            return (
              <label key={plan.plan} className={css.plan}>
                <input
                  className={css.input}
                  type="radio"
                  name={`${group}-plan`}
                  checked={offer.priceId === chosen?.priceId}
                  onChange={() => onChoose(offer)}
                />
                <span className={css.name}>
                  {text.name}
                  {offer.priceId === currentPriceId && (
                    <span className={css.current}>Current plan</span>
                  )}
                </span>
                <span className={css.amount}>
                  {price(offer.amount, offer.currency)}{" "}
                  <span className={css.per}>{perInterval(offer.interval)}</span>
                </span>
                <span className={css.details}>
                  {text.description}
                  {saving !== null && (
                    <>
                      {" "}
                      <span className={css.note}>
                        You save {price(saving.amount, saving.currency)} a year.
                      </span>
                    </>
                  )}
                  {text.features !== undefined && (
                    // A label holds no list, so these lines are one in looks only.
                    <span className={css.features}>
                      {text.features.map((feature) => (
                        <span key={feature} className={css.feature}>
                          {feature}
                        </span>
                      ))}
                    </span>
                  )}
                </span>
              </label>
            );
          })}
        </div>
      </fieldset>
    </div>
  );
}
