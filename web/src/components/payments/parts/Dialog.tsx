import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef } from "react";
import { createPortal } from "react-dom";

import css from "./Dialog.module.css";
import { Themed } from "./Themed";

interface DialogProps {
  title: string;
  children: ReactNode;
  onClose: () => void;
  /** False while something is under way that should not be walked away from. */
  closable?: boolean;
  wide?: boolean;
  /** For dialogs that ask before something is undone. */
  alert?: boolean;
  /** The id of the words that are read out with the title. */
  describedBy?: string;
}

const FOCUSABLE =
  'a[href], button, input:not([disabled]), select, textarea, iframe, [tabindex="0"]:not([data-guard])';

/**
 * A modal dialog that keeps the focus inside and gives it back when it goes.
 *
 * It is not a <dialog> shown with showModal: that makes the rest of the document inert, and with
 * it the frame in which Stripe.js asks for 3-D Secure. For the same reason the focus is turned
 * round at the edges and not fetched back from wherever else it goes.
 */
export function Dialog({
  title,
  children,
  onClose,
  closable = true,
  wide = false,
  alert = false,
  describedBy,
}: DialogProps) {
  const box = useRef<HTMLDivElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const titleId = useId();

  useEffect(() => {
    const before = document.activeElement;
    const { overflow } = document.body.style;
    document.body.style.overflow = "hidden";
    heading.current?.focus();
    return () => {
      document.body.style.overflow = overflow;
      if (before instanceof HTMLElement && before.isConnected) {
        before.focus();
      }
    };
  }, []);

  // Each step of a dialog has a title of its own: whoever cannot see the change hears it.
  useEffect(() => heading.current?.focus(), [title]);

  const close = () => {
    if (closable) {
      onClose();
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
  };
  const turnTo = (end: "first" | "last") => {
    const inside = [...(box.current?.querySelectorAll<HTMLElement>(FOCUSABLE) ?? [])].filter(
      (element) => element.tabIndex >= 0,
    );
    (end === "first" ? inside.at(0) : inside.at(-1))?.focus();
  };

  return createPortal(
    <Themed>
      {/* The keyboard has Escape and the close button for what a click beside the dialog does. */}
      {/* eslint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div
        className={css.backdrop}
        onMouseDown={(event) => {
          if (event.target === event.currentTarget) {
            close();
          }
        }}
      >
        {/* Escape has to work from wherever the focus is within. */}
        {/* eslint-disable-next-line jsx-a11y/no-static-element-interactions */}
        <div
          ref={box}
          className={`${css.dialog ?? ""} ${wide ? (css.wide ?? "") : ""}`}
          role={alert ? "alertdialog" : "dialog"}
          aria-modal="true"
          aria-labelledby={titleId}
          aria-describedby={describedBy}
          onKeyDown={onKeyDown}
        >
          <Guard onFocus={() => turnTo("last")} />
          <div className={css.head}>
            <h2 ref={heading} id={titleId} className={css.title} tabIndex={-1}>
              {title}
            </h2>
            {closable && (
              <button type="button" className={css.close} aria-label="Close" onClick={close}>
                <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
                  <path
                    d="m5 5 10 10M15 5 5 15"
                    stroke="currentColor"
                    strokeWidth="1.75"
                    strokeLinecap="round"
                  />
                </svg>
              </button>
            )}
          </div>
          <div className={css.body}>{children}</div>
          <Guard onFocus={() => turnTo("first")} />
        </div>
      </div>
    </Themed>,
    document.body,
  );
}

/** Takes the focus at an edge of the dialog, to turn it round. */
function Guard({ onFocus }: { onFocus: () => void }) {
  // It is reached by the Tab key alone and holds the focus for no moment.
  // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex, jsx-a11y/no-static-element-interactions
  return <div tabIndex={0} data-guard="" onFocus={onFocus} />;
}
