import css from "./Skeleton.module.css";
import theme from "./theme.module.css";

type Line = "short" | "medium" | "full" | "tall";

/** Holds the place of what is being loaded. */
export function Skeleton({ label, lines }: { label: string; lines: Line[] }) {
  return (
    <div className={css.lines} role="status">
      <span className={theme.visuallyHidden}>{label}</span>
      {lines.map((line, index) => (
        // The lines are all alike and never move.
        <div key={index} className={`${css.line ?? ""} ${css[line] ?? ""}`} aria-hidden="true" />
      ))}
    </div>
  );
}
