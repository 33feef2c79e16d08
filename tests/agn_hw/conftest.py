"""One thread for torch: on a busy machine two take ten times as long for tensors as small as these."""

import torch

torch.set_num_threads(1)
