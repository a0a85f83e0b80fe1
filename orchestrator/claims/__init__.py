"""How does somebody without my store check my table? Claims: the chain, the ledger of every cell, the verdict."""
