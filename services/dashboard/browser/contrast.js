/**
 * contrastFaults gives each text of the page whose contrast with what lies behind it is below 4.5 (WCAG 2.2, 1.4.3), a
 * disabled control's excepted. It knows plain colours one over the other, and no pictures.
 */
export function contrastFaults(page) {
  return page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    /** over paints CSS colours on top of each other and gives the red, green and blue that are seen. */
    const over = (...colours) => {
      for (const colour of colours) {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
      }
      return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faults = [];
    for (const element of document.querySelectorAll("body *")) {
      const own = [...element.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data.trim()).join(" ");
      if (!own.trim() || !element.checkVisibility() || element.matches(":disabled")) continue;
      const behind = [];
      for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
      const back = luminance(over("white", ...behind));
      const text = luminance(over("white", ...behind, getComputedStyle(element).color));
      const contrast = (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
      if (contrast < 4.5) faults.push(`${contrast.toFixed(2)}: ${own}`);
    }
    return faults;
  });
}
