"""How to see what was learned: figures, activations, Grad-CAM, occlusion and saliency maps."""
