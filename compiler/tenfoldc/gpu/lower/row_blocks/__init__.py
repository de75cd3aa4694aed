"""Row blocks on a GPU: contractions and the row-wise work between them as launches that keep it in registers."""

from tenfoldc.gpu.lower.row_blocks.kernel import lower_row_blocks as lower_row_blocks
