/** Contents of test/goldens/evaluation.json, written by make_evaluation_goldens.py. */
export interface EvaluationGoldens {
  readonly rankings: readonly {
    readonly positives: readonly number[];
    readonly negatives: readonly number[];
    readonly auroc: number;
    readonly partialAuroc: number;
    readonly averagePrecision: number;
    readonly bestF1: number;
  }[];
  readonly maps: {
    readonly size: number;
    readonly images: readonly {
      readonly kind: string;
      readonly mask: readonly number[];
      readonly values: readonly number[];
    }[];
    readonly pixelAuroc: number;
    readonly pixelAurocDefectiveOnly: number;
    readonly pixelAveragePrecision: number;
    readonly aupro: number;
    /** Connected regions in all masks. */
    readonly regions: number;
  };
}
