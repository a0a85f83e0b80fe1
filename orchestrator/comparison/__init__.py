"""Is A better than B, and what could so few seeds have shown at all? Contrasts, effect sizes, power, robust means."""
